"""Tells where a key is stored, for every encoder: who made its vector, or which encoder has it instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from store.errors import CorruptSegment, InvalidKey
from store.feature_store import FeatureStore
from store.fingerprint import Fingerprint
from store.key import KEY_BYTES


@dataclass(frozen=True)
class Holding:
    """One encoder that has a vector for the key.

    Attributes
    ----------
    fingerprint : Fingerprint
    segment : str
    row : int
    provenance : dict
        How the vector was made.
    """

    fingerprint: Fingerprint
    segment: str
    row: int
    provenance: dict[str, Any]


def parse_key(text: str) -> bytes | None:
    """Read a key of 64 hexadecimal digits; None when it is something else."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES and len(text) == 2 * KEY_BYTES else None


def not_searched(store: FeatureStore) -> list[str]:
    """Say which parts of the store a lookup leaves out, and so why a vector may be missing that is there."""
    known = {log.folder for log in store.logs()}
    said = [
        f"{store.backend.shown(folder)}: its record is lost or damaged: run `diptych store repair`"
        for folder in store.encoder_folders()
        if folder not in known and store.backend.exists(f"{folder}/segments")
    ]
    for log in store.logs():
        corrupt: list[str] = []
        names = {entry.name for _, entry in log.files.all_entries()}
        for _ in log.files.tables(corrupt):
            pass
        untrusted = len(log.files.signatures.untrusted(names))
        if corrupt:
            said.append(f"{log.shown}: {len(corrupt)} damaged segment(s): run `diptych store repair`")
        if untrusted:
            said.append(f"{log.shown}: {untrusted} segment(s) without a trusted signature")
    return said


def holdings(store: FeatureStore, key: bytes) -> list[Holding]:
    """Look one key up under every encoder.

    Raises
    ------
    InvalidKey
        When it has not 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise InvalidKey(f"expected a key of {KEY_BYTES} bytes, found {len(key)}; use content_key")
    wanted = np.frombuffer(key, dtype=np.uint8)[None]
    found = []
    for log in store.logs():
        located = log.locate(wanted)
        if located.found[0]:
            name = located.names[located.segment[0]]
            row = int(located.row[0])
            try:
                segment = log.files.read(name)
            except (CorruptSegment, FileNotFoundError):
                continue  # damaged, or merged just now: the next lookup misses it, or finds it elsewhere
            if segment.keys[row].tobytes() == key:
                found.append(Holding(log.fingerprint, name, row, segment.provenance))
    return found
