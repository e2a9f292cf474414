"""Takes damage out of the way: damaged segments are moved away, and a lost encoder record is written again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from store.encoder_record import RECORD_NAME, EncoderRecord
from store.feature_store import LAYOUT, FeatureStore
from store.maintenance import Problem, verify
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
    problems = verify(store, rows=rows)
    return [_mend(store, problem, records.get(problem.encoder_folder), now, apply) for problem in problems]


def _mend(store: FeatureStore, problem: Problem, record: EncoderRecord | None, now: float, apply: bool) -> Repair:
    if problem.segment and not problem.damaged:
        return Repair(f"{problem.encoder_folder}/segments/{problem.segment}", problem.what, "")
    if problem.segment:
        path = f"{problem.encoder_folder}/segments/{problem.segment}"
        if apply:
            throw_away(store.backend, path, now, damaged=True)
        return Repair(path, problem.what, "moved to the folder `damaged`; its rows will be computed again")
    path = f"{problem.encoder_folder}/{RECORD_NAME}"
    if record is None:
        return Repair(path, problem.what, "")
    if apply:
        store.backend.publish(path, record.to_bytes(), heal=True)
    return Repair(path, problem.what, "written again from the parameters of this project")
