"""The 95 % intervals of an experiment's metrics: how far they would move with another draw of test groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics import (
    ERRORS,
    Bools,
    Ratio,
    Scores,
    multiclass_ratios,
    multilabel_ratios,
    regression_ratios,
)
from stages.evaluate.readings import Truth
from stages.intervals import Interval, Quotients, by_group, estimate, f1_quotients, named_ends


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
