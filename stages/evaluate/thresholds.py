"""Choose the score from which a label counts as predicted, on dev rows alone; `run` asks once per seed."""

from __future__ import annotations

import numpy as np

from stages.decisions import decide
from stages.evaluate.metrics import Bools, ClassCounts, Scores, f1_family

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
