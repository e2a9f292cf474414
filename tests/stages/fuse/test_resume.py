"""A killed `fuse` of a fusion that learns resumes after its last saved epoch, and ends in the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.fuse.params import FuseParams
from stages.fuse.run import FuseInputs, FuseOutputs, run
from stages.models.fusions.catalog import FUSIONS
from stages.models.training.checkpoints import TrainingSettings
from tests.stages.fuse.learning import EPOCHS, WALK

PARTS = np.array(["train", "train", "train", "dev", "test"] * 8)
TRAIN = 24


class Killed(BaseException):
    """As an interrupt, nothing catches it."""


class Counting:
    """Counts the rows of the training, and of the writing of the matrix; raises when told to."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.rows, self._kill_at = 0, kill_at

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Counting]:  # noqa: ARG002
        yield self

    def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.rows += n
        if self._kill_at is not None and n and self.rows >= self._kill_at:
            raise Killed


@pytest.fixture(autouse=True)
def _in_the_catalogue(monkeypatch: pytest.MonkeyPatch, dataset: Any) -> None:
    monkeypatch.setitem(FUSIONS, "walk", WALK)
    dataset.write("multiclass", np.arange(40) % 3, list(PARTS))


def outputs(root: Path) -> FuseOutputs:
    return FuseOutputs(root / "out" / "f.zarr.zip", root / "metrics" / "f.json", root / "models" / "f")


def fuse(dataset: Any, progress: Any = None, *, shift: float = 0.0, **params: Any) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    paths = tuple(dataset.matrix(name, rng.normal(shift, 1, (40, dim))) for name, dim in (("t", 4), ("v", 3)))
    made, settings = outputs(dataset.root), TrainingSettings("cpu", dataset.root / "states", 0)
    inputs = FuseInputs(dataset.manifest, dataset.split, paths)
    run(FuseParams(**{"features": ["t", "v"], **params}), inputs, made, settings, progress or SilentProgress())
    files = [path for path in made.model.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in [*files, made.card, made.matrix]}


@pytest.mark.parametrize("at", [TRAIN * 2, TRAIN * 4, TRAIN * EPOCHS + 1])  # the last one while the matrix is written
def test_it_goes_on_and_ends_in_the_same_bytes(at: int, dataset: Any) -> None:
    expected = fuse(dataset, fusion="walk", seed=3)
    for path in (outputs(dataset.root).matrix, outputs(dataset.root).card):
        path.unlink()
    with pytest.raises(Killed):
        fuse(dataset, Counting(at), fusion="walk", seed=3)
    assert not outputs(dataset.root).matrix.exists()
    again = Counting()
    assert fuse(dataset, again, fusion="walk", seed=3) == expected
    left = EPOCHS - min(at // TRAIN - 1, EPOCHS - 1)
    assert again.rows == TRAIN * left + len(PARTS)
    assert not list((dataset.root / "states").iterdir())


@pytest.mark.parametrize("change", [{"seed": 4}, {"scale": "l2"}, {"width": 2}, {"transductive": True}, {"shift": 1.0}])
def test_another_cause_starts_anew(change: dict[str, Any], dataset: Any) -> None:
    with pytest.raises(Killed):
        fuse(dataset, Counting(TRAIN * 3), fusion="walk")
    again = Counting()
    fuse(dataset, again, fusion="walk", **change)
    assert again.rows == EPOCHS * (40 if "transductive" in change else TRAIN) + len(PARTS)


def test_a_fusion_that_learns_nothing_keeps_no_states(dataset: Any) -> None:
    with pytest.raises(Killed):
        fuse(dataset, Counting(1), fusion="concat", scale="standard")
    assert not (dataset.root / "states").exists()
