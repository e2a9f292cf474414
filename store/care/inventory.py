"""Tells what is in a store: every encoder with its numbers, and where one key is stored; it never changes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from store.errors import CorruptSegment, InvalidKey
from store.features.fingerprint import Fingerprint
from store.features.log import EncoderLog
from store.features.store import FeatureStore
from store.items.keys import KEY_BYTES
from store.items.vectors import VectorType
from store.segments.segment import SegmentName

_TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class EncoderSummary:
    """What one encoder's folder holds, told from the names alone.

    Attributes
    ----------
    foreign : tuple of str
        Names between the segments that are not ours, escaped; harmless.
    """

    encoder: str
    fingerprint: str
    dim: int
    dtype: VectorType
    segments: int
    rows: int
    bytes: int
    foreign: tuple[str, ...]


@dataclass(frozen=True)
class StoreStats:
    """The sums over all encoders."""

    encoders: int
    segments: int
    rows: int
    bytes: int


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


def list_encoders(store: FeatureStore) -> list[EncoderSummary]:
    """Describe every encoder whose record is sound; no segment is read."""
    return [_summary(store, log) for log in store.logs()]


def _summary(store: FeatureStore, log: EncoderLog) -> EncoderSummary:
    names = [name for name, _ in log.files.all_entries()]
    return EncoderSummary(
        encoder=log.fingerprint.encoder,
        fingerprint=log.fingerprint.digest,
        dim=log.dim,
        dtype=log.dtype,
        segments=len(names),
        rows=sum(name.rows for name in names),
        bytes=sum(name.size for name in names),
        foreign=_foreign(store, log),
    )


def _foreign(store: FeatureStore, log: EncoderLog) -> tuple[str, ...]:
    names = [entry.name for entry in store.backend.files(log.files.folder)]
    # Escaped, because a name may hold control characters that a terminal would obey.
    return tuple(repr(n)[1:-1] for n in names if SegmentName.parse(n) is None and not n.startswith(_TEMPORARY))


def stats(store: FeatureStore) -> StoreStats:
    """Add up all encoders."""
    found = list_encoders(store)
    return StoreStats(
        encoders=len(found),
        segments=sum(summary.segments for summary in found),
        rows=sum(summary.rows for summary in found),
        bytes=sum(summary.bytes for summary in found),
    )


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
