"""The tables behind the plots: per-class scores and the confusion list; `run` writes them as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluate.metrics import Bools, ClassCounts

NOTHING = "(nothing)"


@dataclass(frozen=True)
class ClassRow:
    """One class over all seeds; `f1_std` is the sample deviation, None with a single seed."""

    name: str
    super_class: str
    support: int
    precision: float
    recall: float
    f1: float
    f1_std: float | None


def per_class(
    classes: Sequence[str], super_classes: Mapping[str, str], seeds: Sequence[ClassCounts]
) -> Iterator[ClassRow]:
    """Yield one row per class, averaged over seeds."""
    precision, recall, f1 = (
        np.stack([getattr(counts, name) for counts in seeds]) for name in ("precision", "recall", "f1")
    )
    for at, name in enumerate(classes):
        yield ClassRow(
            name,
            super_classes.get(name, ""),
            int(seeds[0].support[at]),
            float(precision[:, at].mean()),
            float(recall[:, at].mean()),
            float(f1[:, at].mean()),
            float(f1[:, at].std(ddof=1)) if len(seeds) > 1 else None,
        )


def confusion_pairs(truth: Bools, predicted: Bools, classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (actual, predicted) pairs of [n, K] decisions.

    A hit gives (i, i). A missed class i gives (i, j) for every wrongly predicted class j of the same row, or
    (i, "(nothing)") when there is none: for one class per row this is the ordinary confusion matrix.
    """
    for row in range(len(truth)):
        wrong = [classes[at] for at in np.flatnonzero(predicted[row] & ~truth[row]).tolist()] or [NOTHING]
        for at in np.flatnonzero(truth[row]).tolist():
            others = [classes[at]] if predicted[row, at] else wrong
            yield from ((classes[at], other) for other in others)
