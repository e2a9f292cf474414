"""Bootstrap intervals of an experiment's metrics: how far they would move with another draw of test groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.bootstrap import Interval, by_group, drawn_f1, draws, f1_counts, percentiles
from stages.evaluate.metrics import (
    Bools,
    Floats,
    Ratio,
    Scores,
    multiclass_ratios,
    multilabel_ratios,
    regression_ratios,
)
from stages.evaluate.readings import Truth


def interval_ends(truth: Truth, scores: Sequence[Scores], decisions: Sequence[Bools], top_k: int) -> dict[str, float]:
    """Return `<metric>_low` and `<metric>_high` of every metric that can be drawn anew from sums over groups.

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
    ends = ("low", "high")
    return {f"{name}_{end}": round(at, 6) for name, two in found.items() for end, at in zip(ends, two, strict=True)}


def intervals(
    ratios: Sequence[Mapping[str, Ratio]],
    groups: NDArray[np.int64],
    decided: tuple[Bools, Sequence[Bools]] | None = None,
) -> dict[str, Interval]:
    """Return the 95 % interval of each metric, the mean over seeds.

    Parameters
    ----------
    ratios : sequence of mapping
        For each seed the metrics that are one sum over rows [n] divided by another. All seeds are drawn together, since
        they share the rows.
    groups : ndarray of int64, [n]
        Rows of one group are drawn together: they are not independent.
    decided : (ndarray of bool [n, K], sequence of ndarray of bool [n, K]), optional
        Truth and the decisions of each seed, for macro F1 over classes with support.

    Returns
    -------
    dict of str to (float, float)
        Percentiles 2.5 and 97.5 of 1,000 draws of as many groups as there are, with replacement, by a fixed seed.
    """
    names = list(ratios[0])
    rows = np.stack([side for each in ratios for name in names for side in each[name]], axis=1)
    sums = by_group(rows, groups)
    blocks = None if decided is None else f1_counts(*decided, groups)
    drawn: dict[str, list[Floats]] = {name: [] for name in (*names, *(["f1_macro"] if blocks else []))}
    for weights in draws(len(sums)):
        pooled = (weights @ sums).reshape(len(weights), len(ratios), len(names), 2)
        above, below = pooled[..., 0], pooled[..., 1]
        means = np.divide(above, below, out=np.zeros_like(above), where=below > 0).mean(axis=1)  # [d, metrics]
        for at, name in enumerate(names):
            drawn[name].append(means[:, at])
        if blocks:
            drawn["f1_macro"].append(drawn_f1(weights, blocks).mean(axis=1))
    return {name: percentiles(values) for name, values in drawn.items()}
