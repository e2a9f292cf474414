"""States of a fit: the newest whole one is found, of its own cause only, and a large one is not written too often."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from stages.models.training import checkpoints
from stages.models.training.checkpoints import Checkpoints, State


def state(epoch: int) -> State:
    return State(epoch, {"w": np.full((2, 3), epoch, np.float32), "n": np.array(epoch)}, {"history": [epoch, 0.1]})


def test_the_newest_state_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "it", "a" * 64)
    assert kept.latest() is None
    for epoch in (1, 2, 10):
        kept.save(state(epoch))
    found = Checkpoints(tmp_path, "it", "a" * 64).latest()
    assert found is not None
    assert (found.epoch, found.facts) == (10, {"history": [10, 0.1]})
    np.testing.assert_array_equal(found.tensors["w"], state(10).tensors["w"])
    assert len(list(kept.folder.iterdir())) == 1


def test_a_single_number_and_a_transposed_array_keep_their_shape(tmp_path: Path) -> None:
    tensors = {"step": np.array(3.0, np.float32), "turned": np.arange(6.0).reshape(2, 3).T}
    kept = Checkpoints(tmp_path, "it", "a" * 64)
    kept.save(State(1, tensors, {}))
    found = kept.latest()
    assert found is not None
    assert found.tensors["step"].shape == ()
    np.testing.assert_array_equal(found.tensors["turned"], tensors["turned"])


def test_another_cause_or_name_finds_nothing_and_clear_removes_its_own_name_only(tmp_path: Path) -> None:
    ours, theirs = Checkpoints(tmp_path, "it", "a" * 64), Checkpoints(tmp_path, "it-2", "b" * 64)
    ours.save(state(1))
    theirs.save(state(1))
    assert Checkpoints(tmp_path, "it", "b" * 64).latest() is None
    Checkpoints(tmp_path, "it", "c" * 64).clear()
    assert ours.latest() is None
    assert theirs.latest() is not None


def test_a_young_state_is_not_replaced(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "it", "a" * 64, seconds=3600)
    kept.save(state(1))
    assert kept.latest() is None


def test_what_takes_long_to_write_is_written_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    kept = Checkpoints(tmp_path, "it", "a" * 64, seconds=1)
    real = checkpoints.tensor_bytes

    def slow(tensors: dict[str, np.ndarray]) -> bytes:
        now[0] += 2
        return real(tensors)

    monkeypatch.setattr(checkpoints, "tensor_bytes", slow)
    saved = []
    for epoch in range(1, 100):
        now[0] += 1
        kept.save(state(epoch))
        found = kept.latest()
        saved.append(found.epoch if found else 0)
    assert sorted(set(saved)) == [1, 41, 81]


def test_scratch_is_empty_at_first_and_gone_at_last(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "it", "a" * 64)
    (kept.folder / "scratch").mkdir(parents=True)
    (kept.folder / "scratch" / "old").write_bytes(b"of a killed run")
    with kept.scratch() as folder:
        assert not list(folder.iterdir())
        (folder / "new").write_bytes(b"1")
    assert not folder.exists()


def result(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    (folder / "inner" / "b").write_bytes(b"2")
    return folder


def test_what_a_training_gave_takes_the_place_of_its_states(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "states", "it", "a" * 64).part("one")
    assert kept.finished(tmp_path / "none") is None
    kept.save(state(3))
    kept.finish(result(tmp_path / "given"), {"n": 7})
    assert kept.latest() is None
    assert kept.finished(tmp_path / "copy") == {"n": 7}
    assert (tmp_path / "copy" / "a").read_bytes() == b"1"
    assert (tmp_path / "copy" / "inner" / "b").read_bytes() == b"2"


@pytest.mark.parametrize("change", ["content", "lost", "added"])
def test_a_result_that_is_not_whole_is_told_and_not_used(
    tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Checkpoints(tmp_path / "states", "it", "a" * 64).part("one")
    kept.finish(result(tmp_path / "given"), {})
    file = kept.folder / "result" / "inner" / "b"
    if change == "lost":
        file.unlink()
    else:
        (file if change == "content" else file.with_name("c")).write_bytes(b"other")
    assert kept.finished(tmp_path / "copy") is None
    assert "its digests differ" in caplog.text
    assert not (tmp_path / "copy").exists()


def test_the_result_of_a_short_training_is_not_kept(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "states", "it", "a" * 64, seconds=3600).part("one")
    kept.finish(result(tmp_path / "given"), {})
    assert kept.finished(tmp_path / "copy") is None
