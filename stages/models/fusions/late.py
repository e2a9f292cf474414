"""The `late` fusion: one head per modality, then a weighted mean of their scores; docs/systems/fusions.md#late."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from stages.models.features.layout import as_layout, split_blocks, split_inputs
from stages.models.heads.model import Array, LabelledRows, Model, Scores, blocks_of, dense
from stages.models.training.epochs import UNWATCHED, Epoch, Watch
from store.errors import InputError
from store.items.records import Task

_GRID = 20  # weights are tried in steps of 1 / 20
_EPSILON = 1e-7
_FILE = "weights.json"


def combine(scores: NDArray[np.float32], weights: NDArray[np.float64], present: NDArray[np.float32]) -> Scores:
    """Return the weighted mean [n, K] of the modalities' scores.

    Parameters
    ----------
    scores : ndarray of float32, [M, n, K]
        One set of scores per modality.
    weights : ndarray of float64, [M]
    present : ndarray of float32, [n, M]
        See `shares`.
    """
    combined: Scores = np.einsum("nm,mnk->nk", shares(weights, present), scores).astype(np.float32)
    return combined


def shares(weights: NDArray[np.float64], present: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much each modality counts in a row, [n, M]; rows sum to 1.

    Parameters
    ----------
    weights : ndarray of float64, [M]
        Non-negative, not all zero.
    present : ndarray of float32, [n, M]
        Weights are shared out again over the modalities that a row has. A row whose present modalities weigh nothing
        takes their plain mean, and a row without any modality the weighted mean of all.
    """
    found = weights[None, :] * present
    found = np.where(found.sum(axis=1, keepdims=True) > 0, found, present)
    found = np.where(found.sum(axis=1, keepdims=True) > 0, found, weights[None, :])
    return np.asarray(found / found.sum(axis=1, keepdims=True))


class LateModel:
    """Fits one model per modality on the rows that have it, and weights them on the dev rows.

    Parameters
    ----------
    layout : Layout or sequence of int
        The M inputs.
    heads : sequence of Model
        One unfitted head per modality.
    task : Task
        Decides the loss that the weights minimise.
    weights : {"dev", "uniform"}
        Tuned on a grid of steps of 0.05 by dev loss, or equal.
    """

    def __init__(
        self, layout: Sequence[Any], heads: Sequence[Model], task: Task, weights: Literal["dev", "uniform"]
    ) -> None:
        self.layout, self.heads, self.task, self.weights = as_layout(layout), list(heads), task, weights
        self.history: list[Epoch] = []

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:
        """Fit every modality's head, then the weights.

        Raises
        ------
        InputError
            When no train row has one of the modalities.
        """
        for number, head in enumerate(self.heads):
            known = self._only(train, number)
            if not len(known):
                raise InputError(
                    f"fusion late: expected train rows that have input {number + 1} of {len(self.heads)}; found none "
                    f"among {len(train)}; leave it out of `features`."
                )
            head.fit(known, self._only(dev, number), watch.part(f"input-{number + 1}"))
        self.history = _mean_curve([head.history for head in self.heads if head.history])
        self.weights_ = np.full(len(self.heads), 1.0 / len(self.heads))
        if self.weights == "dev" and len(dev):
            scores, present = self._parts(dense(dev.x))
            candidates = list(simplex(len(self.heads), _GRID))
            losses = [_loss(combine(scores, each, present), dev, self.task) for each in candidates]
            self.weights_ = candidates[int(np.argmin(losses))]
        return self

    def _only(self, rows: LabelledRows, number: int) -> LabelledRows:
        """Return the vectors of one input, of the rows that have it."""
        parts = [split_inputs(block, self.layout)[number] for block in blocks_of(rows.x)]
        if not parts:
            return LabelledRows(np.zeros((0, self.layout[number].width), dtype=np.float32), rows.y)
        known = np.concatenate([part.present for part in parts]) > 0
        return LabelledRows(np.concatenate([part.vector[part.present > 0] for part in parts]), rows.y[known])

    def _parts(self, x: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        blocks, present = split_blocks(x, self.layout)
        return np.stack([head.scores(block) for head, block in zip(self.heads, blocks, strict=True)]), present

    def scores(self, x: Array) -> Scores:
        """Return the combined scores [n, K]."""
        scores, present = self._parts(x)
        return combine(scores, self.weights_, present)

    def input_weights(self, x: Array) -> Array:
        """Return how much each modality's scores count, float32 [n, M]: the same in all rows that have all inputs."""
        return shares(self.weights_, split_blocks(x, self.layout)[1]).astype(np.float32)

    def inner_vectors(self, x: Array) -> Mapping[Any, Array]:  # noqa: ARG002 (every model is asked in the same way)
        """Return nothing: scores are joined here, and no vectors."""
        return {}

    def save(self, folder: Path) -> None:
        """Write the weights and one folder per modality."""
        (folder / _FILE).write_text(json.dumps(self.weights_.tolist()) + "\n", "utf-8")
        for number, head in enumerate(self.heads):
            inner = folder / f"modality-{number}"
            inner.mkdir()
            head.save(inner)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        self.weights_ = np.array(json.loads((folder / _FILE).read_text("utf-8")))
        for number, head in enumerate(self.heads):
            head.restore(folder / f"modality-{number}")
        return self


def _mean_curve(curves: Sequence[Sequence[Epoch]]) -> list[Epoch]:
    """Average the heads' learning curves; one that has ended counts with its last epoch."""
    longest = max((len(curve) for curve in curves), default=0)
    mean = []
    for at in range(longest):
        now = [curve[min(at, len(curve) - 1)] for curve in curves]
        values = np.mean([(each.train_loss, each.valid_loss, each.valid_accuracy) for each in now], axis=0)
        mean.append(Epoch(at + 1, *map(float, values)))
    return mean


def simplex(size: int, steps: int) -> Iterator[NDArray[np.float64]]:
    """Yield every weight vector [size] of multiples of 1 / steps that sums to 1."""
    if size == 1:
        yield np.ones(1)
        return
    for first in range(steps, -1, -1):
        if first == steps:
            yield np.array([1.0] + [0.0] * (size - 1))
            continue
        for rest in simplex(size - 1, steps - first):
            yield np.concatenate([[first / steps], rest * (1 - first / steps)])


def _loss(scores: Scores, rows: LabelledRows, task: Task) -> float:
    if task == "regression":
        return float(np.mean((scores - rows.y) ** 2))
    clipped = np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON)
    if task == "multiclass":
        return float(-np.log(clipped[np.arange(len(rows)), rows.y]).mean())
    return float(-(rows.y * np.log(clipped) + (1 - rows.y) * np.log(1 - clipped)).mean())
