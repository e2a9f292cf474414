"""Bootstrap intervals of an experiment's main metric: how far it would move with another draw of test groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics import Bools, Floats

_DRAWS = 1000
_CHUNK_CELLS = 1 << 24  # of draws x groups held at once
_TAIL = 2.5  # percent on each side
Interval = tuple[float, float]


def f1_interval(truth: Bools, decisions: Sequence[Bools], groups: NDArray[np.int64]) -> Interval:
    """Return the 95 % interval of macro F1 over classes with support, the mean over seeds.

    Parameters
    ----------
    truth : ndarray of bool, [n, K]
    decisions : sequence of ndarray of bool, [n, K]
        One for each seed; all seeds are drawn together, since they share the rows.
    groups : ndarray of int, [n]
        Rows of one group are drawn together: they are not independent.

    Returns
    -------
    (float, float)
        Percentiles 2.5 and 97.5 of 1,000 draws of as many groups as there are, with replacement, by a fixed seed.
    """
    hits = [_by_group(truth & each, groups) for each in decisions]
    sizes = [_by_group(truth, groups) + _by_group(each, groups) for each in decisions]  # 2 TP + FP + FN
    support = _by_group(truth, groups)
    values = []
    for weights in _draws(len(support)):
        seen = weights @ support > 0
        per_seed = [_mean_f1(weights @ hit, weights @ size, seen) for hit, size in zip(hits, sizes, strict=True)]
        values.append(np.mean(per_seed, axis=0))
    return _percentiles(values)


def mse_interval(errors: Sequence[Floats], groups: NDArray[np.int64]) -> Interval:
    """Return the 95 % interval of the mean squared error, the mean over seeds; `errors` are [n] for each seed."""
    squares = [_by_group(np.square(each)[:, None], groups) for each in errors]
    counts = _by_group(np.ones((len(groups), 1)), groups)
    means = (
        np.mean([(weights @ each)[:, 0] / (weights @ counts)[:, 0] for each in squares], axis=0)
        for weights in _draws(len(counts))
    )
    return _percentiles([*means])


def _by_group(values: NDArray[np.generic], groups: NDArray[np.int64]) -> Floats:
    """Sum rows [n, K] over their groups: [G, K]."""
    names, place = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, place, values.astype(np.float64))
    return sums


def _draws(groups: int) -> Iterator[Floats]:
    """Yield how often each group is drawn, [draws, G], in chunks that fit in memory."""
    rng = np.random.default_rng(0)
    step = max(1, min(_DRAWS, _CHUNK_CELLS // groups))
    even = np.full(groups, 1.0 / groups)
    for start in range(0, _DRAWS, step):
        yield rng.multinomial(groups, even, size=min(step, _DRAWS - start)).astype(np.float64)


def _mean_f1(hits: Floats, sizes: Floats, seen: Bools) -> Floats:
    f1 = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    return np.asarray((f1 * seen).sum(axis=1) / np.maximum(1, seen.sum(axis=1)))


def _percentiles(values: Sequence[Floats]) -> Interval:
    low, high = np.percentile(np.concatenate(values), [_TAIL, 100 - _TAIL])
    return float(low), float(high)
