"""What every trainable thing of stage two is: fit on train, watch dev, give scores, save without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stages.models.training.epochs import UNWATCHED, Epoch, Watch
from store.items.records import Task

Scores = NDArray[np.float32]
Array = NDArray[np.float32]
_BLOCK_BYTES = 64 << 20


class Table(Protocol):
    """Rows [n, D] that are read when they are asked for, so that no more than a batch is in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, D)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Array:
        """Return float32 [m, D] for row numbers [m], or for a slice."""


Features = Array | Table


def dense(x: Features) -> Array:
    """Return all rows in memory, for what cannot learn from batches."""
    return np.asarray(x[:], dtype=np.float32)


def blocks_of(x: Features) -> Iterator[Array]:
    """Give all rows in order, as many at a time as make some 64 MB."""
    rows = max(1, _BLOCK_BYTES // max(1, 4 * x.shape[1]))
    for start in range(0, len(x), rows):
        yield np.asarray(x[start : start + rows], dtype=np.float32)


def training_batch(x: Features, rows: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """Return rows [m, D] for one step of training.

    A table that varies its rows in training (modality dropout) has a method `batch(rows, rng)`, and all that it draws
    comes from `rng`.
    """
    batch = getattr(x, "batch", None)
    found: Array = x[rows] if batch is None else batch(rows, rng)
    return found


@dataclass(frozen=True)
class LabelledRows:
    """Some rows of a training problem.

    Attributes
    ----------
    x : ndarray or Table of float32, [n, D]
        Features; for a fusion the blocks side by side and then one presence column per block.
    y : ndarray
        multilabel: float32 [n, K] of 0 and 1; multiclass: int64 [n]; regression: float32 [n, 1].
    """

    x: Features
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.x)


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

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:
        """Fit on `train`; `dev` may be empty and serves early stopping and weights only.

        `watch` opens the progress bars and keeps the states of a run that may be killed.
        """

    def scores(self, x: Array) -> Scores:
        """Return [n, K] probabilities (squashed margins for `svm`), or [n, 1] values for regression."""

    def save(self, folder: Path) -> None:
        """Write everything needed to give the same scores again into an existing folder."""

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into a model built the same way."""


@runtime_checkable
class Transparent(Protocol):
    """A model that can be looked into, as some can; `FusedModel.weights` and `FusedModel.layers` ask."""

    def input_weights(self, x: Array) -> Array | None:
        """Return how much each of M inputs counts in rows [n, D], float32 [n, M]; None where nothing weighs them."""

    def inner_vectors(self, x: Array) -> Mapping[Any, Array]:
        """Return float32 [n, width] of rows [n, D] for each layer within; the fusion names its layers."""
