"""Two people embed overlapping data into one store at the same time; a third finds all of it there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from store import FeatureStore, verify
from tests.end_to_end.clones import BATCH, ENCODERS, embedded, make_clone, matrix_bytes, start
from tests.pipeline.project import call

POSTS = 120
OWN = 20
ALICE = range(POSTS - OWN)  # 0, 1, ... 99
BOB = range(POSTS - 1, OWN - 1, -1)  # 119, 118, ... 20: the shared posts come to him from the other end
COMMON = POSTS - 2 * OWN
# With what they stand on; the later stages know nothing of the store.
REPRO = ("dvc", "repro", *(f"embed@{name}" for name in ENCODERS))


def test_two_clones_at_once_and_a_third_afterwards(tmp_path: Path) -> None:
    store = tmp_path / "shared"
    clones = {"alice": make_clone(tmp_path / "alice", ALICE), "bob": make_clone(tmp_path / "bob", BOB)}
    runs = {name: start(folder, *REPRO, store=store) for name, folder in clones.items()}
    said = {name: run.communicate(timeout=240)[0] for name, run in runs.items()}
    assert [run.returncode for run in runs.values()] == [0, 0], said
    counts = {name: embedded(text) for name, text in said.items()}
    assert verify(FeatureStore(store), rows=True) == []
    _assert_nothing_visible_was_computed_again(store, counts)
    _assert_equal_to_undisturbed(clones, tmp_path)
    third = make_clone(tmp_path / "carol", range(10, 110))
    run = start(third, *REPRO, store=store)
    told = run.communicate(timeout=240)[0]
    assert run.returncode == 0, told
    assert embedded(told) == {"caption-hash": (101, 0), "image-colors": (100, 0)}, told


def _assert_nothing_visible_was_computed_again(store: Path, counts: dict[str, dict[str, tuple[int, int]]]) -> None:
    """Hold what the runs computed against what there was to compute.

    A run looks at the store when it begins and with each commit, and encodes nothing that it saw. So a row that was
    computed twice was begun by the second run before it could see it: after its last look, hence among the rows of one
    of its commits (at most as many as its largest segment, as those that it then finds published are left out of it
    but replace no others), in the batch that was with the model, or in those that went through it while a commit was
    being written: two on a busy machine. Without the looks it would be all that is common.
    """
    for log in FeatureStore(store).logs():
        encoder = {"hash": "caption-hash", "colorhist": "image-colors"}[log.fingerprint.encoder]
        segments = [log.files.read(name).keys for name in log.segments()]
        keys = np.concatenate(segments)
        distinct = len(np.unique(keys, axis=0))
        assert distinct == POSTS + (encoder == "caption-hash")  # the empty text too
        for cached, new in (each[encoder] for each in counts.values()):
            assert cached + new == POSTS - OWN + (encoder == "caption-hash")
            assert new >= OWN
        computed = sum(each[encoder][1] for each in counts.values())
        in_flight = 2 * (max(len(each) for each in segments) + 3 * BATCH)
        assert in_flight < 0.75 * COMMON, "the commits were too large for this check to tell anything"
        assert distinct <= computed <= distinct + in_flight
        # What was computed twice all the same is left out at the commit, but for the moment between look and write.
        assert len(keys) <= computed


def _assert_equal_to_undisturbed(clones: dict[str, Path], tmp_path: Path) -> None:
    for name, posts in (("alice", ALICE), ("bob", BOB)):
        alone = make_clone(tmp_path / f"{name}-alone", posts)
        for command in ("prepare", "embed"):
            done = call(alone, "diptych", command)
            assert done.returncode == 0, done.stderr
        assert matrix_bytes(alone) == matrix_bytes(clones[name])
