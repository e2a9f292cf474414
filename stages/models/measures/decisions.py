"""From scores to predicted classes, the one rule of all stages; docs/systems/evaluation.md#decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from store.items.records import Task

Fallback = Literal["none", "argmax"]
Bools = NDArray[np.bool_]


def decide(scores: NDArray[Any], threshold: float, fallback: Fallback) -> Bools:
    """Return the predicted labels bool [n, K] of multi-label scores [n, K].

    A label is predicted from `threshold` on; a row without any gets nothing, or with "argmax" its best label.
    """
    # In the precision of the scores: a neighbour share of 7 / 10 reaches the threshold 0.7.
    predicted: Bools = scores >= np.float32(threshold)
    if fallback == "argmax" and scores.shape[1]:
        empty = ~predicted.any(axis=1)
        predicted[empty, scores[empty].argmax(axis=1)] = True
    return predicted


@dataclass(frozen=True)
class Decision:
    """How an experiment's scores were turned into classes; threshold and fallback count for several labels only."""

    threshold: float = 0.5
    fallback: Fallback = "none"

    def classes(self, scores: NDArray[Any], task: Task) -> Bools:
        """Return the predicted classes bool [n, K]; for multiclass the highest score, the first of equal ones."""
        if task == "multilabel":
            return decide(scores, self.threshold, self.fallback)
        return np.asarray(scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])[None, :])
