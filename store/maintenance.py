"""Reads a whole store and says what is damaged; it never changes anything: `repair` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from store.encoder_log import EncoderLog
from store.encoder_record import read_record
from store.errors import CorruptSegment, FingerprintMismatch, UnsupportedFormat
from store.feature_store import FeatureStore
from store.rows import good_rows, row_problems
from store.segment import Segment, row_digests

_UNTRUSTED = (
    "expected a valid signature of a trusted key, found none: lookups leave it out; whoever vouches for it may run "
    "`diptych store sign`"
)


@dataclass(frozen=True)
class Problem:
    """Something that `verify` found damaged.

    Attributes
    ----------
    encoder_folder : str
        Below the root.
    segment : str
        The segment's name; "" when the encoder's record is concerned.
    what : str
        What was expected, what was found and what to do.
    damaged : bool
        Whether the file is worthless; False when a newer version can read it.
    """

    encoder_folder: str
    segment: str
    what: str
    damaged: bool = True


def verify(store: FeatureStore, *, rows: bool = False, tick: Callable[[], None] = lambda: None) -> list[Problem]:
    """Read every segment and check its name, size, digest, metadata and keys; with trusted keys, its signature too.

    Parameters
    ----------
    store : FeatureStore
    rows : bool
        Also hold each row against its own digest, and look for rows that could never have been stored.
    tick : callable
        Called after each segment.

    Returns
    -------
    list of Problem
        Empty for a sound store.
    """
    return [problem for folder in store.encoder_folders() for problem in _verify_folder(store, folder, rows, tick)]


def _verify_folder(store: FeatureStore, folder: str, rows: bool, tick: Callable[[], None]) -> Iterator[Problem]:
    try:
        record = read_record(store.backend, folder)
        if record is None and not store.backend.exists(f"{folder}/segments"):
            return  # somebody else's folder
        if record is None:
            yield Problem(
                folder, "", "expected encoder.json next to the segments, found none; run `diptych store repair --apply`"
            )
            return
        log = store.log(record)
    except (FingerprintMismatch, UnsupportedFormat) as error:
        yield Problem(folder, "", str(error), damaged=isinstance(error, FingerprintMismatch))
        return
    names = [entry.name for _, entry in log.files.all_entries()]
    untrusted = log.files.signatures.untrusted(names)
    for name in names:
        problem = _problem_if_there(log, name, rows)
        tick()
        if problem is None and name in untrusted:
            # Not damaged: somebody may still vouch for it, and no repair may take it away.
            problem = Problem(folder, name, _UNTRUSTED, damaged=False)
        if problem is not None:
            yield problem


def _problem_if_there(log: EncoderLog, name: str, rows: bool) -> Problem | None:
    """Say what is wrong with a segment, unless it is gone."""
    try:
        return segment_problem(log, name, rows=rows)
    except FileNotFoundError:
        return None  # merged or removed since it was listed


def segment_problem(log: EncoderLog, name: str, *, rows: bool) -> Problem | None:
    """Say what is wrong with a segment that was read just now; None when nothing is.

    Raises
    ------
    FileNotFoundError
        When it is no longer there: nothing was seen, good or bad.
    StoreUnreachable, StoreNotReadable
        When the storage does not answer, which is no problem of the segment.
    """
    try:
        segment = log.files.read(name)
    except (CorruptSegment, UnsupportedFormat) as error:
        return Problem(log.folder, name, str(error), damaged=isinstance(error, CorruptSegment) and not error.unread)
    what = row_damage(segment, log.zero_legal) if rows else ""
    return Problem(log.folder, name, what) if what else None


def row_damage(segment: Segment, zero_legal: bool) -> str:
    """Say what is wrong with the rows of a segment that was read; "" when nothing is.

    Parameters
    ----------
    segment : Segment
    zero_legal : bool
        Whether its encoder says that a row may be all zero.
    """
    wrong = np.flatnonzero((row_digests(segment.vectors) != segment.row_digests).any(axis=1))
    if len(wrong):
        return (
            f"expected each row to match its digest, found {len(wrong)} that do not, the first row {wrong[0]}: "
            "they were altered before the file was written; run `diptych store repair`"
        )
    problems = row_problems(segment.vectors, zero_legal)
    bad = np.flatnonzero(problems != "")
    if len(bad):
        return f"expected {good_rows(zero_legal)}, found {problems[bad[0]]} in row {bad[0]}; repair it"
    return ""
