"""Reads every segment of a store: says what is damaged, takes it out of the way, and signs what is sound.

`verify` changes nothing; `repair` moves damaged segments away and writes lost encoder records again; `sign_sound`
vouches for segments written before there were keys, or by somebody we vouch for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from store.care.garbage import throw_away
from store.errors import CorruptSegment, FingerprintMismatch, SigningError, UnsupportedFormat
from store.features.log import EncoderLog
from store.features.record import RECORD_NAME, EncoderRecord, read_record
from store.features.store import LAYOUT, FeatureStore
from store.items.vectors import good_rows, row_problems
from store.segments.segment import Segment, row_digests

_UNTRUSTED = (
    "expected a valid signature of a trusted key, found none: lookups leave it out; whoever vouches for it may run "
    "`diptych store sign`"
)


@dataclass(frozen=True)
class Unsound:
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


def verify(store: FeatureStore, *, rows: bool = False, tick: Callable[[], None] = lambda: None) -> list[Unsound]:
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


def _verify_folder(store: FeatureStore, folder: str, rows: bool, tick: Callable[[], None]) -> Iterator[Unsound]:
    try:
        record = read_record(store.backend, folder)
        if record is None and not store.backend.exists(f"{folder}/segments"):
            return  # somebody else's folder
        if record is None:
            yield Unsound(
                folder, "", "expected encoder.json next to the segments, found none; run `diptych store repair --apply`"
            )
            return
        log = store.log(record)
    except (FingerprintMismatch, UnsupportedFormat) as error:
        yield Unsound(folder, "", str(error), damaged=isinstance(error, FingerprintMismatch))
        return
    names = [entry.name for _, entry in log.files.all_entries()]
    untrusted = log.files.signatures.untrusted(names)
    for name in names:
        problem = _problem_if_there(log, name, rows)
        tick()
        if problem is None and name in untrusted:
            # Not damaged: somebody may still vouch for it, and no repair may take it away.
            problem = Unsound(folder, name, _UNTRUSTED, damaged=False)
        if problem is not None:
            yield problem


def _problem_if_there(log: EncoderLog, name: str, rows: bool) -> Unsound | None:
    """Say what is wrong with a segment, unless it is gone."""
    try:
        return segment_problem(log, name, rows=rows)
    except FileNotFoundError:
        return None  # merged or removed since it was listed


def segment_problem(log: EncoderLog, name: str, *, rows: bool) -> Unsound | None:
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
        return Unsound(log.folder, name, str(error), damaged=isinstance(error, CorruptSegment) and not error.unread)
    what = row_damage(segment, log.zero_legal) if rows else ""
    return Unsound(log.folder, name, what) if what else None


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


@dataclass(frozen=True)
class Repair:
    """One problem and what was, or would be, done about it.

    Attributes
    ----------
    path : str
        Below the root.
    problem : str
    remedy : str
        "" when only a person can help.
    """

    path: str
    problem: str
    remedy: str


def repair(
    store: FeatureStore, known: Iterable[EncoderRecord] = (), *, apply: bool = False, rows: bool = True
) -> list[Repair]:
    """Verify everything; with `apply`, move damaged segments to the folder `damaged` and restore records.

    Parameters
    ----------
    store : FeatureStore
    known : iterable of EncoderRecord
        Encoders of the caller: a folder whose name is that of one of them gets its record back.
    apply : bool
        Without it, nothing is touched.
    rows : bool
        Also check each row against its own digest.

    Returns
    -------
    list of Repair
        Rows of a damaged segment are computed again by the next run, or found in another segment.
    """
    records = {f"{LAYOUT}/{record.fingerprint.folder}": record for record in known}
    now = store.backend.now() if apply else 0.0
    repairs = []
    for problem in verify(store, rows=rows):
        if problem.segment:
            repairs.append(_move_away(store, problem, now, apply, rows))
        else:
            repairs.append(_restore_record(store, problem, records.get(problem.encoder_folder), apply))
    return repairs


def _move_away(store: FeatureStore, problem: Unsound, now: float, apply: bool, rows: bool) -> Repair:
    path = f"{problem.encoder_folder}/segments/{problem.segment}"
    if not problem.damaged:
        return Repair(path, problem.what, "")
    if apply and not _still_damaged(store, problem, rows):
        return Repair(path, problem.what, "nothing: it was stored again, or moved away, meanwhile")
    if apply:
        throw_away(store.backend, path, now, damaged=True)
    return Repair(path, problem.what, "moved to the folder `damaged`; its rows will be computed again")


def _still_damaged(store: FeatureStore, problem: Unsound, rows: bool) -> bool:
    """Look again: verifying a large store takes long, and a writer of the same rows heals what it finds damaged."""
    record = read_record(store.backend, problem.encoder_folder)
    if record is None:
        return False
    try:
        again = segment_problem(store.log(record), problem.segment, rows=rows)
    except FileNotFoundError:
        return False
    return again is not None and again.damaged


def _restore_record(store: FeatureStore, problem: Unsound, record: EncoderRecord | None, apply: bool) -> Repair:
    path = f"{problem.encoder_folder}/{RECORD_NAME}"
    if record is None or not problem.damaged:  # of a newer version: whole, and not ours to write
        return Repair(path, problem.what, "")
    if apply:
        store.backend.publish(path, record.to_bytes(), heal=True)
    return Repair(path, problem.what, "written again from the parameters of this project")


@dataclass(frozen=True)
class SignReport:
    """What was done for one encoder.

    Attributes
    ----------
    encoder : str
    signed, kept : int
        Segments signed now, and those that we had signed before.
    unsound : tuple of (str, str)
        Segments that were not signed: name, and what is wrong.
    """

    encoder: str
    signed: int
    kept: int
    unsound: tuple[tuple[str, str], ...]


def sign_sound(store: FeatureStore, encoder: str | None = None) -> list[SignReport]:
    """Read every segment that we did not sign yet, down to its rows, and sign the sound ones.

    Sound means undamaged, not right: a wrong vector that was stored with care is sound too. Sign what you know the
    origin of.

    Parameters
    ----------
    store : FeatureStore
        With a signer.
    encoder : str, optional
        Only encoders of this name; all of them when left out.

    Raises
    ------
    SigningError
        When the store has no signer, or lookups would not see what it signs.
    """
    if store.signing.signer is None:
        raise SigningError(
            "expected a signing key, found none; set DIPTYCH_SIGNING_KEY or `signing_key` in local.toml, and make one "
            "with `diptych store keygen FILE`"
        )
    store.signing.check_writer()
    return [_sign_log(log) for log in store.logs() if encoder in (None, log.fingerprint.encoder)]


def _sign_log(log: EncoderLog) -> SignReport:
    names = [entry.name for _, entry in log.files.all_entries()]
    ours = log.files.signatures.ours(names)
    signed, unsound = 0, []
    for name in (name for name in names if name not in ours):
        try:
            problem = segment_problem(log, name, rows=True)
        except FileNotFoundError:
            continue  # never sign what we did not read: it might come back
        if problem is not None:
            unsound.append((name, problem.what))
        else:
            log.files.signatures.sign(name)
            signed += 1
    return SignReport(log.fingerprint.encoder, signed, len(ours), tuple(unsound))
