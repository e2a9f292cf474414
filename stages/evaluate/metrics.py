"""The metrics of systems.md 6.1 as pure functions of arrays; `run` averages them over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class ClassCounts:
    """Hits, false alarms and misses of each class: int64 [K] each."""

    hits: NDArray[np.int64]
    alarms: NDArray[np.int64]
    misses: NDArray[np.int64]

    @classmethod
    def of(cls, truth: Bools, predicted: Bools) -> Self:
        """Count over rows; both arguments are [n, K]."""
        return cls((truth & predicted).sum(0), (~truth & predicted).sum(0), (truth & ~predicted).sum(0))

    @property
    def support(self) -> NDArray[np.int64]:
        """Rows that truly have the class, [K]."""
        return self.hits + self.misses

    @property
    def precision(self) -> Floats:
        """Share of the predictions that are right, 0 where nothing was predicted, [K]."""
        return ratio(self.hits, self.hits + self.alarms)

    @property
    def recall(self) -> Floats:
        """Share of the truth that was found, 0 where there is none, [K]."""
        return ratio(self.hits, self.support)

    @property
    def f1(self) -> Floats:
        """2 TP / (2 TP + FP + FN), 0 where the denominator is 0, [K]."""
        return ratio(2 * self.hits, 2 * self.hits + self.alarms + self.misses)


def ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> Floats:
    """Return above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros(np.shape(below), dtype=np.float64), where=np.asarray(below) > 0)


def f1_family(counts: ClassCounts) -> dict[str, float]:
    """Return macro (classes with support, and all), micro and support-weighted F1."""
    seen = counts.support > 0
    pooled = ClassCounts(*(np.asarray([each.sum()]) for each in (counts.hits, counts.alarms, counts.misses)))
    weights = counts.support / max(1, counts.support.sum())
    return {
        "f1_macro": float(counts.f1[seen].mean()) if seen.any() else 0.0,
        "f1_macro_all": float(counts.f1.mean()) if len(counts.f1) else 0.0,
        "f1_micro": float(pooled.f1[0]),
        "f1_weighted": float((counts.f1 * weights).sum()),
        "precision_macro": float(counts.precision[seen].mean()) if seen.any() else 0.0,
        "recall_macro": float(counts.recall[seen].mean()) if seen.any() else 0.0,
    }


def multilabel_metrics(truth: Bools, predicted: Bools) -> dict[str, float]:
    """Return all multi-label metrics of [n, K] decisions; a row empty in both counts 1 in `f1_samples`."""
    agree = truth == predicted
    both = (truth & predicted).sum(axis=1)
    sizes = truth.sum(axis=1) + predicted.sum(axis=1)
    per_row = np.where(sizes > 0, ratio(2 * both, sizes), 1.0)
    return {
        **f1_family(ClassCounts.of(truth, predicted)),
        "f1_samples": float(per_row.mean()),
        "subset_accuracy": float(agree.all(axis=1).mean()),
        "label_accuracy": float(agree.mean()),
        "hamming": float(1.0 - agree.mean()),
    }


def ranks(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank [n] of each true class: scores strictly higher, plus equal ones of lower index."""
    own = scores[np.arange(len(truth)), truth][:, None]
    lower_index = np.arange(scores.shape[1])[None, :] < truth[:, None]
    return np.asarray((scores > own).sum(axis=1) + ((scores == own) & lower_index).sum(axis=1), dtype=np.int64)


def multiclass_metrics(scores: Scores, truth: NDArray[np.int64], top_k: int) -> dict[str, float]:
    """Return all single-label metrics of scores [n, K] and classes [n]; the prediction is the class of rank 0.

    Of two classes the second is the positive one: `precision`, `recall` and `f1` are of it.
    """
    classes = scores.shape[1]
    rank = ranks(scores, truth)
    counts = ClassCounts.of(one_hot(truth, classes), one_hot(scores.argmax(axis=1), classes))
    metrics = f1_family(counts)
    if classes == 2:
        metrics |= {name: float(getattr(counts, name)[1]) for name in ("precision", "recall", "f1")}
    metrics["accuracy"] = float((rank == 0).mean())
    metrics["ovr_accuracy"] = 1.0 - 2.0 * (1.0 - metrics["accuracy"]) / classes
    metrics["balanced_top_1"] = _per_class_mean(rank == 0, truth)
    if top_k > 1:
        hit = rank < min(top_k, classes)
        metrics[f"top_{top_k}"] = float(hit.mean())
        metrics[f"balanced_top_{top_k}"] = _per_class_mean(hit, truth)
    return metrics


def one_hot(index: NDArray[np.int64], classes: int) -> Bools:
    """Return bool [n, K] with one True a row."""
    return np.asarray(index[:, None] == np.arange(classes)[None, :])


def _per_class_mean(hit: Bools, truth: NDArray[np.int64]) -> float:
    return float(np.mean([hit[truth == each].mean() for each in np.unique(truth)]))


def regression_metrics(values: Scores, truth: Floats) -> dict[str, float]:
    """Return mean squared error and R2 (1 - SSE / SST on the mean of these rows; 0 when they are all equal)."""
    squared = float(((values - truth) ** 2).sum())
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {"mse": squared / len(truth), "r2": 1.0 - squared / spread if spread > 0 else 0.0}
