"""Runs a training epoch by epoch: resumes after the last saved state, keeps the best one, stops early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress, SilentProgress, Tracker
from stages.models.training.checkpoints import Checkpoints, State, Tensors
from store.errors import RunError

_SILENT = SilentProgress()
_BEST = "best/"
_MEASURED = ("train_loss", "valid_loss", "valid_accuracy")


@dataclass(frozen=True)
class Epoch:
    """One line of a learning curve; NaN stands for what was not measured, such as without rows set aside.

    `valid_accuracy` is the share of right answers, by the training's own count of what is right.
    """

    epoch: int
    train_loss: float
    valid_loss: float = math.nan
    valid_accuracy: float = math.nan


class Watched(Protocol):
    """Who looks at a training: `Watch`, or what `fit` gives its fitters."""

    @property
    def label(self) -> str:
        """The words before the progress bar, such as "fit words"."""

    @property
    def progress(self) -> Progress:
        """Opens the bar."""

    @property
    def checkpoints(self) -> Checkpoints | None:
        """Keeps the states of a run that may be killed; None keeps none."""


@dataclass(frozen=True)
class Watch:
    """Who looks at a training; by default nobody, and nothing is kept."""

    label: str = "train"
    progress: Progress = _SILENT
    checkpoints: Checkpoints | None = None

    def part(self, name: str) -> Watch:
        """Return the watch of one of several trainings behind each other; each keeps states of its own."""
        inner = None if self.checkpoints is None else self.checkpoints.part(name)
        return Watch(f"{self.label}, {name}", self.progress, inner)


UNWATCHED = Watch()


class Training(Protocol):
    """What is trained: one epoch at a time, and all of its state as arrays."""

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, ...]:
        """Run epoch `number` (from 1), advance the tracker by every row.

        Return the losses on train and on the rows set aside (NaN without), and the accuracy on these where it is known.

        Everything random follows from the seed and `number` alone.
        """

    def state(self) -> Tensors:
        """Return all that the next epoch starts from: weights and the optimiser's own arrays."""

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""

    def weights(self) -> Tensors:
        """Return what is kept of the best epoch."""

    def restore_weights(self, tensors: Tensors) -> None:
        """Take up what `weights` returned."""


@dataclass(frozen=True)
class Schedule:
    """How long to train.

    Attributes
    ----------
    epochs : int
        At most.
    rows : int
        Of one epoch, for the progress.
    patience : int, optional
        Stop when no epoch has been better for so many epochs; the best epoch's weights are then kept, as they are after
        the last epoch. None: the last epoch counts.
    monitor : {"loss", "accuracy"}
        The best epoch has the lowest valid loss, or the highest valid accuracy and of equal ones the lowest loss.
    """

    epochs: int
    rows: int
    patience: int | None = None
    monitor: Literal["loss", "accuracy"] = "loss"


def run_epochs(watch: Watched, training: Training, schedule: Schedule) -> list[Epoch]:
    """Train, and leave the weights that count in `training`.

    Returns
    -------
    list of Epoch
        The learning curve; the same whether or not the run was interrupted.

    Raises
    ------
    RunError
        When a loss is not finite.
    """
    curve = _Curve(schedule)
    state = watch.checkpoints.latest() if watch.checkpoints is not None else None
    if state is not None:
        training.restore({name: value for name, value in state.tensors.items() if not name.startswith(_BEST)})
        curve.restore(state)
    left = (schedule.epochs - len(curve.history)) * schedule.rows
    label = watch.label if state is None else f"{watch.label}, behind epoch {state.epoch}"
    with watch.progress.track(label, left) as tracker:
        while not curve.finished:
            number = len(curve.history) + 1
            losses = training.epoch(number, tracker)
            _refuse_divergence(watch.label, number, losses)
            if curve.add(Epoch(number, *losses)):
                curve.best = {name: np.array(value) for name, value in training.weights().items()}
            if not curve.finished and watch.checkpoints is not None:
                watch.checkpoints.save(curve.state(training.state()))
            tracker.advance(0, f"epoch {number}, loss {losses[0]:.4f}")
    if schedule.patience is not None:
        training.restore_weights(curve.best)
    return curve.history


class _Curve:
    """The learning curve so far, and the weights of its best epoch."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self.history: list[Epoch] = []
        self.best: dict[str, NDArray[Any]] = {}

    def add(self, epoch: Epoch) -> bool:
        """Add an epoch; tell whether its weights are the best so far and are to be kept."""
        self.history.append(epoch)
        return self._schedule.patience is not None and self._best_epoch == epoch.epoch

    @property
    def _best_epoch(self) -> int:
        """The first of the best epochs; the last one where nothing was set aside."""
        known = [each for each in self.history if not math.isnan(each.valid_loss)]
        return min(known, key=self._badness).epoch if known else len(self.history)

    def _badness(self, epoch: Epoch) -> tuple[float, float]:
        accuracy = epoch.valid_accuracy if self._schedule.monitor == "accuracy" else 0.0
        return -accuracy, epoch.valid_loss

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done, or `patience` is at its end."""
        patience, done = self._schedule.patience, len(self.history)
        return done >= self._schedule.epochs or (patience is not None and done - self._best_epoch >= patience > 0)

    def state(self, tensors: Tensors) -> State:
        best = {f"{_BEST}{name}": value for name, value in self.best.items()}
        lines = [{name: _plain(value) for name, value in asdict(each).items()} for each in self.history]
        return State(len(self.history), {**tensors, **best}, {"history": lines})

    def restore(self, state: State) -> None:
        self.history = [
            Epoch(line["epoch"], *(math.nan if line[name] is None else line[name] for name in _MEASURED))
            for line in state.facts["history"]
        ]
        self.best = {n.removeprefix(_BEST): value for n, value in state.tensors.items() if n.startswith(_BEST)}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _refuse_divergence(label: str, number: int, losses: tuple[float, ...]) -> None:
    if not math.isfinite(losses[0]) or math.isinf(losses[1]):
        raise RunError(
            f"{label}: expected finite losses; found {losses} after epoch {number}: the training diverged; lower "
            "`lr`, or check the inputs."
        )


def finals(history: list[Epoch]) -> Mapping[str, float]:
    """Return the last losses for the card, where there are any."""
    if not history:
        return {}
    named = {"loss": history[-1].train_loss, "valid_loss": history[-1].valid_loss}
    return {name: round(value, 6) for name, value in named.items() if not math.isnan(value)}
