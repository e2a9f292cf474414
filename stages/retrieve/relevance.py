"""Which gallery item answers which query, by their labels: pure arrays, used by `ranking` and scored by `metrics`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.retrieve.params import RelevanceRule

Labels = NDArray[np.bool_] | NDArray[np.int64]
_STEP = 2048


@dataclass(frozen=True)
class Relevance:
    """The rule that compares two items.

    Attributes
    ----------
    labels : bool [N, K] or int64 [N]
        The label sets of all items, or the one class of each.
    rule : {"any_label", "same_labels"}
        Sharing one label is enough, or all must be the same. Over single classes the two agree.
    """

    labels: Labels
    rule: RelevanceRule

    def between(self, queries: NDArray[np.int64], gallery: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Compare items by their row numbers: bool [queries, gallery]; an item never answers itself."""
        left, right = self.labels[queries], self.labels[gallery]
        other = queries[:, None] != gallery[None, :]
        if self.labels.ndim == 1:
            return np.asarray((left[:, None] == right[None, :]) & other)
        shared = left.astype(np.float32) @ right.astype(np.float32).T  # counts of labels: exact in float32
        if self.rule == "any_label":
            return np.asarray((shared > 0) & other)
        full = (shared == left.sum(axis=1)[:, None]) & (shared == right.sum(axis=1)[None, :])
        return np.asarray(full & other)

    def counts(self, queries: NDArray[np.int64], gallery: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the relevant gallery items of each query, int64 [queries]."""
        total = np.zeros(len(queries), np.int64)
        for start in range(0, len(queries), _STEP):
            asked = slice(start, start + _STEP)
            for first in range(0, len(gallery), _STEP):
                total[asked] += self.between(queries[asked], gallery[first : first + _STEP]).sum(axis=1)
        return total
