"""The mean weight of each input by class, summed up block by block; `inside_models` feeds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.inside import WeightRow

EVERY = "(all)"


class WeightSums:
    """Sums of weights over rows that come in blocks.

    A row without any input has no weights to tell: a model reads it as if it had them all, and its weights are those of
    what stands for them. Such rows are left out.

    Parameters
    ----------
    classes : int
        K, 0 for regression.
    inputs : int
        M.
    """

    def __init__(self, classes: int, inputs: int) -> None:
        self._sums = np.zeros((1 + classes, inputs))
        self._rows = np.zeros(1 + classes, dtype=np.int64)

    def add(self, weights: NDArray[np.float32], present: NDArray[np.bool_], labels: NDArray[np.bool_]) -> None:
        """Count in the weights [n, M] of rows, which of them have which input [n, M], and which classes [n, K]."""
        some = present.any(axis=1, keepdims=True)
        bears = np.concatenate([some, labels & some], axis=1).astype(np.float64)  # [n, 1 + K]
        self._sums += bears.T @ weights.astype(np.float64)
        self._rows += bears.sum(axis=0).astype(np.int64)

    def table(self, classes: Sequence[str], inputs: Sequence[str]) -> Iterator[WeightRow]:
        """Yield the means over all rows, then over those of each class that has some."""
        for name, sums, rows in zip((EVERY, *classes), self._sums, self._rows.tolist(), strict=True):
            for each, total in zip(inputs, sums.tolist(), strict=True):
                if rows:
                    yield WeightRow(name, each, total / rows, rows)
