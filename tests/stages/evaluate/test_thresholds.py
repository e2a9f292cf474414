"""The threshold tuned on dev: none of the grid is better, and of equal ones the one nearest to a half is taken."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.decisions import decide
from stages.evaluate.metrics import ClassCounts, f1_family
from stages.evaluate.thresholds import tune_threshold


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_no_threshold_of_the_grid_beats_the_tuned_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, scores = rng.random((12, 3)) < 0.4, rng.random((12, 3)).astype(np.float32)

    def merit(threshold: float) -> float:
        return f1_family(ClassCounts.of(truth, decide(scores, threshold, "none")))["f1_macro"]

    best = tune_threshold(truth, scores)
    grid = [round(0.05 + 0.025 * step, 3) for step in range(37)]
    assert best in grid
    assert merit(best) == max(merit(each) for each in grid)


def test_among_equal_thresholds_the_one_nearest_to_a_half_is_taken() -> None:
    truth, scores = np.eye(2, dtype=bool), np.float32([[0.9, 0.1], [0.1, 0.9]])
    assert tune_threshold(truth, scores) == 0.5
    assert tune_threshold(truth, scores / 3) == 0.275  # 0.9 / 3 is a little less than 0.3
