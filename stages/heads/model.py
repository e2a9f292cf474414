"""What every trainable thing of stage two is: fit on train, watch dev, give scores, save without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stages.contract import Task

Scores = NDArray[np.float32]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Some rows of a training problem.

    Attributes
    ----------
    x : ndarray of float32, [n, D]
        Features; for a fusion the blocks side by side and then one presence column per block.
    y : ndarray
        multilabel: float32 [n, K] of 0 and 1; multiclass: int64 [n]; regression: float32 [n, 1].
    """

    x: Array
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Epoch:
    """One line of a learning curve; `valid_loss` is NaN when there are no dev rows."""

    epoch: int
    train_loss: float
    valid_loss: float


@dataclass(frozen=True)
class Problem:
    """What is asked: the task, the number of outputs K (1 for regression), the seed, and the device for networks."""

    task: Task
    outputs: int
    seed: int
    device: str = "cpu"


class Model(Protocol):
    """A fitted or fittable predictor."""

    @property
    def history(self) -> Sequence[Epoch]:
        """The learning curve; empty for models without epochs."""

    def fit(self, train: Rows, dev: Rows) -> Self:
        """Fit on `train`; `dev` may be empty and serves early stopping and weights only."""

    def scores(self, x: Array) -> Scores:
        """Return [n, K] probabilities (squashed margins for `svm`), or [n, 1] values for regression."""

    def save(self, folder: Path) -> None:
        """Write everything needed to give the same scores again into an existing folder."""

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into a model built the same way."""
