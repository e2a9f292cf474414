"""The threshold tuned on dev, and the intervals of an experiment's metrics against many draws of rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.evaluate.metrics import (
    ClassCounts,
    f1_family,
    multiclass_metrics,
    multiclass_ratios,
    multilabel_metrics,
    multilabel_ratios,
    one_hot,
    regression_metrics,
    regression_ratios,
)
from stages.evaluate.scoring import intervals, tune_threshold
from stages.models.measures.decisions import decide
from tests.stages.evaluate.case import HALF, RIGHT, Case


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


ROWS = np.arange(60)


def decisions(seed: int = 0, wrong: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((60, 4)) < 0.4
    return truth, truth ^ (rng.random((60, 4)) < wrong)


def multilabel(truth: np.ndarray, predicted: list[np.ndarray], groups: np.ndarray = ROWS) -> dict[str, tuple]:
    return intervals([multilabel_ratios(truth, each) for each in predicted], groups, (truth, predicted))


def looped(metrics: Callable[[np.ndarray], dict[str, float]]) -> dict[str, list[float]]:
    """The ends of the metrics of 1,000 draws of sixty rows, made one by one."""
    rng = np.random.default_rng(0)
    found = [metrics(np.repeat(ROWS, rng.multinomial(60, np.full(60, 1 / 60)))) for _ in range(1000)]
    return {name: [float(end) for end in np.percentile([of[name] for of in found], [2.5, 97.5])] for name in found[0]}


def agree(found: dict[str, tuple[float, float]], expected: dict[str, list[float]], *names: str) -> None:
    assert set(found) == set(names)
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], atol=0.035, err_msg=name)


def test_a_loop_over_drawn_rows_gives_about_the_intervals_of_several_labels() -> None:
    truth, predicted = decisions()
    expected = looped(lambda rows: multilabel_metrics(truth[rows], predicted[rows]))
    names = ("f1_macro", "f1_micro", "f1_samples", "subset_accuracy", "label_accuracy")
    agree(multilabel(truth, [predicted]), expected, *names)


def test_a_loop_over_drawn_rows_gives_about_the_intervals_of_one_of_two_classes() -> None:
    rng = np.random.default_rng(1)
    scores, truth = rng.random((60, 2)).astype(np.float32), rng.integers(0, 2, 60)
    expected = looped(lambda rows: multiclass_metrics(scores[rows], truth[rows], 2))
    found = intervals([multiclass_ratios(scores, truth, 2)], ROWS)
    assert found.pop("top_2") == (pytest.approx(0.94, abs=0.01), 1.0)  # draws of sixty rows never tell of a miss
    agree(found, expected, "accuracy", "precision", "recall", "f1")


def test_a_loop_over_drawn_rows_gives_about_the_intervals_of_errors() -> None:
    rng = np.random.default_rng(2)
    values, truth = rng.normal(size=60).astype(np.float32), rng.normal(size=60)
    expected = looped(lambda rows: regression_metrics(values[rows], truth[rows]))
    found = intervals([regression_ratios(values, truth)], ROWS)
    assert set(found) == {"mse", "mae"}
    for name, ends in found.items():
        np.testing.assert_allclose(ends, expected[name], rtol=0.2)


def test_the_interval_holds_the_value_and_narrows_with_more_rows() -> None:
    truth, predicted = decisions()
    few, values = multilabel(truth, [predicted]), multilabel_metrics(truth, predicted)
    many = multilabel(np.tile(truth, (20, 1)), [np.tile(predicted, (20, 1))], np.arange(1200))
    for name, (low, high) in few.items():
        assert low < values[name] < high
        assert many[name][1] - many[name][0] < 0.5 * (high - low)


def test_rows_of_one_group_are_drawn_together_so_copies_add_no_certainty() -> None:
    truth, predicted = decisions()
    alone = multilabel(truth, [predicted])
    copied = multilabel(np.tile(truth, (20, 1)), [np.tile(predicted, (20, 1))], np.tile(ROWS, 20))
    for name, ends in alone.items():
        assert copied[name] == pytest.approx(ends, abs=1e-9)


def test_several_seeds_give_the_interval_of_their_mean() -> None:
    truth, predicted = decisions()
    once, thrice = multilabel(truth, [predicted]), multilabel(truth, [predicted] * 3)
    for name, ends in once.items():
        assert thrice[name] == pytest.approx(ends)


def test_perfect_predictions_of_sixty_rows_leave_a_little_doubt() -> None:
    truth, _ = decisions()
    for low, high in multilabel(truth, [truth]).values():
        assert 0.9 < low < 0.98
        assert high == 1.0


def test_nothing_predicted_of_the_positive_class_starts_at_zero_and_is_no_division() -> None:
    never = one_hot(np.zeros(60, np.int64), 2).astype(np.float32)
    found = intervals([multiclass_ratios(never, np.arange(60) % 2, 1)], ROWS)
    assert found["precision"][0] == found["recall"][0] == found["f1"][0] == 0.0
    assert found["recall"][1] < 0.15
    assert found["precision"][1] > 0.9  # nothing was called positive, so nothing is known


def test_the_file_of_metrics_tells_the_ends_beside_the_means(case: Case) -> None:
    case.predict({0: RIGHT, 1: HALF})
    values = case.evaluate()
    for name in ("f1_macro", "f1_micro", "f1_samples", "subset_accuracy", "label_accuracy"):
        assert 0 <= values[f"{name}_low"] <= values[name] <= values[f"{name}_high"] <= 1
