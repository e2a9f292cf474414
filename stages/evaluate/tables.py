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
    accuracy: float
    precision: float
    recall: float
    f1: float
    f1_std: float | None


def per_class(
    classes: Sequence[str], super_classes: Mapping[str, str], seeds: Sequence[ClassCounts]
) -> Iterator[ClassRow]:
    """Yield one row per class, averaged over seeds."""
    accuracy, precision, recall = (
        np.mean([getattr(counts, name) for counts in seeds], axis=0) for name in ("accuracy", "precision", "recall")
    )
    f1 = np.stack([counts.f1 for counts in seeds])
    for at, name in enumerate(classes):
        yield ClassRow(
            name,
            super_classes.get(name, ""),
            int(seeds[0].support[at]),
            float(accuracy[at]),
            float(precision[at]),
            float(recall[at]),
            float(f1[:, at].mean()),
            float(f1[:, at].std(ddof=1)) if len(seeds) > 1 else None,
        )


def confusion_pairs(truth: Bools, predicted: Bools, classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (actual, predicted) pairs of [n, K] decisions.

    A hit gives (i, i). A missed class i gives (i, j) for every wrongly predicted class j of the same row, or
    (i, "(nothing)") when there is none: for one class per row this is the ordinary confusion matrix.
    """
    rows, actual = np.nonzero(truth)
    wrong = np.nonzero(predicted & ~truth)
    starts, ends = (np.searchsorted(wrong[0], rows, side=side).tolist() for side in ("left", "right"))
    alarms, hits = wrong[1].tolist(), predicted[rows, actual].tolist()
    for at, hit, start, end in zip(actual.tolist(), hits, starts, ends, strict=True):
        if hit or start == end:
            yield classes[at], classes[at] if hit else NOTHING
        else:
            yield from ((classes[at], classes[other]) for other in alarms[start:end])
