"""The metrics of docs/systems/evaluation.md#metrics as pure functions of arrays; `scoring` asks for those of one seed.

They are counted here and not by scikit-learn, which has no top-k that ranks equal scores by the lower index, and which
checks and sorts its arguments anew for every metric; the tests compare each with it where it has the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Ratio = tuple[Floats, Floats]
"""What each row adds above the line and below it, [n] each: the metric is sum over sum."""
ERRORS = frozenset({"mse", "mae"})  # 0 or more; all other ratios lie between 0 and 1


@dataclass(frozen=True)
class ClassCounts:
    """Hits, false alarms and misses of each class, int64 [K] each, and over how many rows."""

    hits: NDArray[np.int64]
    alarms: NDArray[np.int64]
    misses: NDArray[np.int64]
    rows: int

    @classmethod
    def of(cls, truth: Bools, predicted: Bools) -> Self:
        """Count over rows; both arguments are [n, K]."""
        hits = (truth & predicted).sum(0)
        return cls(hits, predicted.sum(0) - hits, truth.sum(0) - hits, len(truth))

    @property
    def support(self) -> NDArray[np.int64]:
        """Rows that truly have the class, [K]."""
        return self.hits + self.misses

    @property
    def accuracy(self) -> Floats:
        """Share of the rows on which the decision about the class is right, [K]."""
        return np.asarray(1.0 - (self.alarms + self.misses) / self.rows)

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
    hits, wrong = counts.hits.sum(), counts.alarms.sum() + counts.misses.sum()
    weights = counts.support / max(1, counts.support.sum())
    return {
        "f1_macro": float(counts.f1[seen].mean()) if seen.any() else 0.0,
        "f1_macro_all": float(counts.f1.mean()) if len(counts.f1) else 0.0,
        "f1_micro": float(ratio(2 * hits, 2 * hits + wrong)),
        "f1_weighted": float((counts.f1 * weights).sum()),
        "precision_macro": float(counts.precision[seen].mean()) if seen.any() else 0.0,
        "recall_macro": float(counts.recall[seen].mean()) if seen.any() else 0.0,
    }


def multilabel_metrics(truth: Bools, predicted: Bools) -> dict[str, float]:
    """Return all multi-label metrics of [n, K] decisions; a row empty in both counts 1 in `f1_samples`."""
    values = _values(multilabel_ratios(truth, predicted))
    return {**f1_family(ClassCounts.of(truth, predicted)), **values, "hamming": 1.0 - values["label_accuracy"]}


def multilabel_ratios(truth: Bools, predicted: Bools) -> dict[str, Ratio]:
    """Return, row by row, what those metrics are made of that are one sum over another."""
    right = (truth == predicted).sum(axis=1)
    both = 2.0 * (truth & predicted).sum(axis=1)
    sizes = np.asarray(truth.sum(axis=1) + predicted.sum(axis=1), dtype=np.float64)
    ones = np.ones(len(truth))
    return {
        "f1_micro": (both, sizes),
        "f1_samples": (np.divide(both, sizes, out=ones.copy(), where=sizes > 0), ones),
        "subset_accuracy": ((right == truth.shape[1]).astype(np.float64), ones),
        "label_accuracy": (right / max(1, truth.shape[1]), ones),
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
    classes, ratios = scores.shape[1], multiclass_ratios(scores, truth, top_k)
    counts = ClassCounts.of(one_hot(truth, classes), one_hot(scores.argmax(axis=1), classes))
    metrics = {**f1_family(counts), **_values(ratios)}
    metrics["ovr_accuracy"] = 1.0 - 2.0 * (1.0 - metrics["accuracy"]) / classes
    metrics["balanced_top_1"] = _per_class_mean(ratios["accuracy"][0], truth)
    if top_k > 1:
        metrics[f"balanced_top_{top_k}"] = _per_class_mean(ratios[f"top_{top_k}"][0], truth)
    return metrics


def multiclass_ratios(scores: Scores, truth: NDArray[np.int64], top_k: int) -> dict[str, Ratio]:
    """Return, row by row, what those metrics are made of that are one sum over another."""
    rank, ones = ranks(scores, truth), np.ones(len(truth))
    found = {"accuracy": ((rank == 0).astype(np.float64), ones)}
    if top_k > 1:
        found[f"top_{top_k}"] = ((rank < min(top_k, scores.shape[1])).astype(np.float64), ones)
    if scores.shape[1] == 2:
        positive, said = (each.astype(np.float64) for each in (truth, scores.argmax(axis=1)))
        both = positive * said
        found |= {"precision": (both, said), "recall": (both, positive), "f1": (2 * both, positive + said)}
    return found


def one_hot(index: NDArray[np.int64], classes: int) -> Bools:
    """Return bool [n, K] with one True a row."""
    return np.asarray(index[:, None] == np.arange(classes)[None, :])


def _per_class_mean(hit: Floats, truth: NDArray[np.int64]) -> float:
    seen, rows = np.bincount(truth, weights=hit), np.bincount(truth)
    return float((seen[rows > 0] / rows[rows > 0]).mean())


def _values(ratios: dict[str, Ratio]) -> dict[str, float]:
    sums = {name: (above.sum(), below.sum()) for name, (above, below) in ratios.items()}
    return {name: float(above / below) if below > 0 else 0.0 for name, (above, below) in sums.items()}


def regression_metrics(values: Scores, truth: Floats) -> dict[str, float]:
    """Return the mean squared error, its root, the mean absolute error, and R2.

    R2 is 1 - SSE / SST on the mean of these rows; 0 when they are all equal, even where all are met.
    """
    ratios = regression_ratios(values, truth)
    mse = _values(ratios)["mse"]
    spread = float(((truth - truth.mean()) ** 2).mean())
    return {**_values(ratios), "rmse": float(np.sqrt(mse)), "r2": 1.0 - mse / spread if spread > 0 else 0.0}


def regression_ratios(values: Scores, truth: Floats) -> dict[str, Ratio]:
    """Return, row by row, what the means over rows are made of."""
    errors, ones = np.abs(values - truth), np.ones(len(truth))
    return {"mse": (errors**2, ones), "mae": (errors, ones)}


BINS = 10
_EDGES = np.linspace(0.0, 1.0, BINS + 1)
_BLOCK_CELLS = 1 << 22  # of scores binned at once


@dataclass(frozen=True)
class Calibration:
    """What fell into each of ten bins of equal width: each is [10], and holds its upper edge but not its lower one.

    Attributes
    ----------
    counts : ndarray of int64
    scores : ndarray of float64
        Their sum.
    right : ndarray of int64
        How many of them were right.
    brier : float
        The mean of (score - truth) squared, over all classes of all rows; where a row has a single class over the rows,
        summed over its classes. G. Brier, Verification of forecasts expressed in terms of probability, 1950.
    """

    counts: NDArray[np.int64]
    scores: Floats
    right: NDArray[np.int64]
    brier: float

    @classmethod
    def of(cls, scores: Scores, labels: Bools, *, single: bool) -> Self:
        """Count scores [n, K] against labels [n, K].

        Where each row has a single class, what counts is the score of the class that is predicted; where it has
        several, every class of every row does. A score below 0 or above 1 falls into the first or the last bin.
        """
        counts, sums, right = np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS, np.int64)
        squares, step = 0.0, max(1, _BLOCK_CELLS // max(1, scores.shape[1]))
        for start in range(0, len(scores), step):
            block, bears = scores[start : start + step], labels[start : start + step]
            squares += float(np.square(block - bears, dtype=np.float64).sum())
            said = block.argmax(axis=1)[:, None]
            given, true = (np.take_along_axis(each, said, 1) if single else each for each in (block, bears))
            place = np.searchsorted(_EDGES[1:-1], given.ravel())
            counts += np.bincount(place, minlength=BINS)
            sums += np.bincount(place, weights=given.ravel(), minlength=BINS)
            right += np.bincount(place[true.ravel()], minlength=BINS)
        return cls(counts, sums, right, squares / int(counts.sum()))

    @property
    def metrics(self) -> dict[str, float]:
        """Return `ece` and `brier`.

        The expected calibration error is the mean over bins, by their counts, of |share that was right - mean score|.
        M. Naeini and others, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
        """
        return {"ece": float(np.abs(self.right - self.scores).sum()) / int(self.counts.sum()), "brier": self.brier}


def calibration_lines(calibration: Calibration | None) -> Iterator[list[str]]:
    """Yield the header and a line for each bin, blank where it is empty; the header alone for regression."""
    yield ["low", "high", "count", "confidence", "share"]
    if calibration is None:
        return
    for at, count in enumerate(calibration.counts.tolist()):
        means = [f"{sums[at] / count:.6f}" if count else "" for sums in (calibration.scores, calibration.right)]
        yield [f"{_EDGES[at]:.1f}", f"{_EDGES[at + 1]:.1f}", str(count), *means]
