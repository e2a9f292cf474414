"""One seed's metrics by the rule of the params, and their means over seeds; `run` and `robustness` count alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.decisions import decide
from stages.evaluate.metrics import (
    Bools,
    Scores,
    multiclass_metrics,
    multilabel_metrics,
    one_hot,
    regression_metrics,
)
from stages.evaluate.params import EvaluateParams
from stages.evaluate.readings import Truth


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
