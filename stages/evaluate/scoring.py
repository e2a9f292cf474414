"""From scores to figures: the threshold tuned on dev, one seed's metrics, their means over seeds and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics import (
    ERRORS,
    Bools,
    ClassCounts,
    Ratio,
    Scores,
    f1_family,
    multiclass_metrics,
    multiclass_ratios,
    multilabel_metrics,
    multilabel_ratios,
    one_hot,
    regression_metrics,
    regression_ratios,
)
from stages.evaluate.params import EvaluateParams
from stages.evaluate.truth import Truth
from stages.models.measures.decisions import decide
from stages.models.measures.intervals import Interval, Quotients, by_group, estimate, f1_quotients, named_ends


@dataclass(frozen=True)
class Scored:
    """What is evaluated: the truth, and for each seed its scores [n, K] and its threshold."""

    truth: Truth
    scores: Mapping[int, Scores]
    thresholds: Mapping[int, float]


@dataclass(frozen=True)
class Evaluated:
    """One seed: its metrics, and for classification its decisions [n, K]."""

    metrics: dict[str, float]
    predicted: Bools | None


def evaluate(params: EvaluateParams, threshold: float, scores: Scores, truth: Truth) -> Evaluated:
    """Return the metrics of scores [n, K], or [n, 1] for regression, in the order of the truth."""
    if truth.targets is not None:
        return Evaluated(regression_metrics(scores[:, 0], truth.targets), None)
    labels = truth.labels if truth.labels is not None else np.zeros(scores.shape, dtype=bool)
    if truth.task == "multiclass":
        metrics = multiclass_metrics(scores, labels.argmax(axis=1), params.top_k)
        return Evaluated(metrics, one_hot(scores.argmax(axis=1), scores.shape[1]))
    predicted = decide(scores, threshold, params.fallback)
    return Evaluated(multilabel_metrics(labels, predicted), predicted)


def means_at(params: EvaluateParams, scored: Scored, rows: NDArray[np.int64], names: Sequence[str]) -> dict[str, float]:
    """Return the means over the seeds of some metrics, on some of the rows by their positions in the truth."""
    truth = scored.truth.at(rows)
    each = [evaluate(params, scored.thresholds[seed], of[rows], truth).metrics for seed, of in scored.scores.items()]
    return {name: round(float(np.mean([metrics[name] for metrics in each])), 6) for name in names}


def over_seeds(metrics: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric, and its sample deviation where there are several seeds."""
    merged: dict[str, float] = {}
    for name in metrics[0]:
        values = np.array([each[name] for each in metrics])
        merged[name] = round(float(values.mean()), 6)
        if len(values) > 1:
            merged[f"{name}_std"] = round(float(values.std(ddof=1)), 6)
    return merged


_GRID = tuple(round(float(each), 3) for each in np.arange(0.05, 0.951, 0.025))


def tune_threshold(truth: Bools, scores: Scores) -> float:
    """Return the threshold of the best macro F1 of dev rows, in steps of 0.025.

    Parameters
    ----------
    truth : ndarray of bool, [n, K]
    scores : ndarray of float32, [n, K]

    Returns
    -------
    float
        Between 0.05 and 0.95; among equals the one nearest to 0.5, then the smaller.

    Notes
    -----
    One number for all classes: a few dozen dev rows could not support one per class.
    """

    def merit(threshold: float) -> tuple[float, float, float]:
        counts = ClassCounts.of(truth, decide(scores, threshold, "none"))
        return f1_family(counts)["f1_macro"], -abs(threshold - 0.5), -threshold

    return max(_GRID, key=merit)


def interval_ends(truth: Truth, scores: Sequence[Scores], decisions: Sequence[Bools], top_k: int) -> dict[str, float]:
    """Return `<metric>_low` and `<metric>_high` of every metric that is made of sums over rows.

    Parameters
    ----------
    truth : Truth
    scores, decisions : sequence of ndarray, [n, K]
        One for each seed; `decisions` is empty for regression.
    top_k : int
        The larger K of the top-K accuracies.
    """
    if truth.targets is not None:
        ratios = [regression_ratios(each[:, 0], truth.targets) for each in scores]
        found = intervals(ratios, truth.groups)
    else:
        labels = truth.labels if truth.labels is not None else np.zeros((len(truth.ids), 0), dtype=bool)
        if truth.task == "multiclass":
            ratios = [multiclass_ratios(each, labels.argmax(axis=1), top_k) for each in scores]
        else:
            ratios = [multilabel_ratios(labels, each) for each in decisions]
        found = intervals(ratios, truth.groups, (labels, decisions))
    return named_ends(found)


def intervals(
    ratios: Sequence[Mapping[str, Ratio]],
    groups: NDArray[np.int64],
    decided: tuple[Bools, Sequence[Bools]] | None = None,
) -> dict[str, Interval]:
    """Return the 95 % interval of each metric, the mean over seeds; it holds the metric itself.

    Parameters
    ----------
    ratios : sequence of mapping
        For each seed the metrics that are one sum over rows [n] divided by another.
    groups : ndarray of int64, [n]
        Rows of one group vary together: they are not independent.
    decided : (ndarray of bool [n, K], sequence of ndarray of bool [n, K]), optional
        Truth and the decisions of each seed, for macro F1 over classes with support.
    """
    count, weights = len(np.unique(groups)), np.full(len(ratios), 1 / len(ratios))
    found = {}
    for name in ratios[0]:
        above, below = (by_group(np.stack([each[name][at] for each in ratios], axis=1), groups) for at in (0, 1))
        found[name] = estimate([Quotients.single(above, below)], weights, count)
    if decided is not None:
        found["f1_macro"] = estimate(f1_quotients(*decided, groups), weights, count)
    return {name: each.error() if name in ERRORS else each.share() for name, each in found.items()}
