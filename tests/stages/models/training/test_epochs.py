"""The loop over epochs: which weights count, when it stops, and what an interruption must not change."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from stages.contract import SilentProgress, Tracker
from stages.fit.context import FitContext
from stages.models.training.checkpoints import Checkpoints, Tensors
from stages.models.training.epochs import Schedule, Watch, finals, run_epochs
from store.errors import RunError
from tests.stages.fit.killed import Killed
from tests.stages.train.killed import Counting


class Walk:
    """A training whose one weight is the number of its epochs, with valid losses as a test gives them."""

    def __init__(self, valid: list[float], kill_in: int | None = None) -> None:
        self.weight, self._valid, self._kill_in, self.ran = np.zeros(1), valid, kill_in, 0

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        if number == self._kill_in:
            raise Killed
        self.ran += 1
        self.weight[:] = number
        tracker.advance(10)
        return 1 / number, self._valid[number - 1]

    def state(self) -> Tensors:
        return {"weight": self.weight}

    def restore(self, tensors: Tensors) -> None:
        self.weight[:] = tensors["weight"]

    weights, restore_weights = state, restore


def context(folder: Path) -> FitContext:
    states = Checkpoints(folder, "it", "a" * 64)
    return FitContext("it", None, 0, cast("Any", None), "cpu", 1, SilentProgress(), states)


@pytest.mark.parametrize(
    ("valid", "patience", "epochs", "weight"),
    [
        ([3, 2, 1, 2, 3, 4], None, 6, 6),
        ([3, 2, 1, 2, 3, 4], 2, 5, 3),
        ([3, 2, 1, 2, 0.5, 4], 2, 6, 5),
        ([3, 2, 1, 2, 3, 4], 9, 6, 3),
        ([1, 1, 1, 1, 1, 1], 2, 3, 1),
        ([math.nan] * 6, 2, 6, 6),
    ],
)
@pytest.mark.parametrize("kill_in", [None, 2, 3])
def test_the_best_epoch_counts_when_there_is_patience(
    tmp_path: Path, valid: list[float], patience: int | None, epochs: int, weight: int, kill_in: int | None
) -> None:
    if kill_in is not None:
        with pytest.raises(Killed):
            run_epochs(context(tmp_path), Walk(valid, kill_in), Schedule(6, 10, patience))
    walk = Walk(valid)
    history = run_epochs(context(tmp_path), walk, Schedule(6, 10, patience))
    assert [each.epoch for each in history] == list(range(1, epochs + 1))
    assert history[0].train_loss == 1
    assert walk.weight[0] == weight
    assert walk.ran == epochs - (kill_in - 1 if kill_in else 0)


def test_the_bar_says_that_a_killed_training_goes_on(tmp_path: Path) -> None:
    bars = Counting()
    watch = Watch("train x", bars, Checkpoints(tmp_path, "it", "a" * 64))
    with pytest.raises(Killed):
        run_epochs(watch, Walk([1, 1, 1], kill_in=3), Schedule(3, 10))
    run_epochs(watch, Walk([1, 1, 1]), Schedule(3, 10))
    assert bars.bars == ["train x", "train x, behind epoch 2"]


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    class Diverging(Walk):
        def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:  # noqa: ARG002
            return math.nan, 1.0

    with pytest.raises(RunError, match="the training diverged; lower `lr`"):
        run_epochs(context(Path("unused")), Diverging([]), Schedule(2, 1))


def test_the_card_gets_the_last_losses_that_there_are(tmp_path: Path) -> None:
    history = run_epochs(context(tmp_path), Walk([math.nan] * 4), Schedule(4, 1))
    assert finals(history) == {"loss": 0.25}
    assert finals([]) == {}
