"""Takes damage out of the way: damaged segments are moved away, and a lost encoder record is written again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from store.encoder_record import RECORD_NAME, EncoderRecord, read_record
from store.feature_store import LAYOUT, FeatureStore
from store.maintenance import Problem, segment_problem, verify
from store.trash import throw_away


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


def _move_away(store: FeatureStore, problem: Problem, now: float, apply: bool, rows: bool) -> Repair:
    path = f"{problem.encoder_folder}/segments/{problem.segment}"
    if not problem.damaged:
        return Repair(path, problem.what, "")
    if apply and not _still_damaged(store, problem, rows):
        return Repair(path, problem.what, "nothing: it was stored again, or moved away, meanwhile")
    if apply:
        throw_away(store.backend, path, now, damaged=True)
    return Repair(path, problem.what, "moved to the folder `damaged`; its rows will be computed again")


def _still_damaged(store: FeatureStore, problem: Problem, rows: bool) -> bool:
    """Look again: verifying a large store takes long, and a writer of the same rows heals what it finds damaged."""
    record = read_record(store.backend, problem.encoder_folder)
    if record is None:
        return False
    try:
        again = segment_problem(store.log(record), problem.segment, rows=rows)
    except FileNotFoundError:
        return False
    return again is not None and again.damaged


def _restore_record(store: FeatureStore, problem: Problem, record: EncoderRecord | None, apply: bool) -> Repair:
    path = f"{problem.encoder_folder}/{RECORD_NAME}"
    if record is None or not problem.damaged:  # of a newer version: whole, and not ours to write
        return Repair(path, problem.what, "")
    if apply:
        store.backend.publish(path, record.to_bytes(), heal=True)
    return Repair(path, problem.what, "written again from the parameters of this project")
