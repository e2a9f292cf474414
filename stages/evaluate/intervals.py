"""Bootstrap intervals of an experiment's main metric: how far it would move with another draw of test groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.bootstrap import Interval, by_group, draws, f1_of_draws, percentiles
from stages.evaluate.metrics import Bools, Floats


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
    return percentiles([each.mean(axis=1) for each in f1_of_draws(truth, decisions, groups)])


def mse_interval(errors: Sequence[Floats], groups: NDArray[np.int64]) -> Interval:
    """Return the 95 % interval of the mean squared error, the mean over seeds; `errors` are [n] for each seed."""
    squares = by_group(np.mean(np.square(errors), axis=0)[:, None], groups)
    counts = by_group(np.ones((len(groups), 1)), groups)
    return percentiles([((weights @ squares) / (weights @ counts))[:, 0] for weights in draws(len(counts))])
