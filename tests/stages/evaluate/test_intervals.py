"""Bootstrap intervals: against a loop that draws rows one by one, with groups, and repeatable."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import f1_score

from stages.evaluate.intervals import intervals

ROWS = np.arange(60)


def decisions(seed: int = 0, wrong: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((60, 4)) < 0.4
    return truth, truth ^ (rng.random((60, 4)) < wrong)


def test_a_loop_over_drawn_rows_gives_the_same_interval() -> None:
    truth, predicted = decisions()
    rng, values = np.random.default_rng(0), []
    for _ in range(1000):
        rows = np.repeat(ROWS, rng.multinomial(60, np.full(60, 1 / 60)))
        seen = truth[rows].any(axis=0)
        values.append(f1_score(truth[rows][:, seen], predicted[rows][:, seen], average="macro", zero_division=0))
    expected = np.percentile(values, [2.5, 97.5])
    np.testing.assert_allclose(f1_interval(truth, [predicted], ROWS), expected, atol=1e-9)


def test_the_interval_holds_the_value_and_narrows_with_more_rows() -> None:
    truth, predicted = decisions()
    value = f1_score(truth, predicted, average="macro")
    low, high = f1_interval(truth, [predicted], ROWS)
    assert low < value < high
    many = np.tile(truth, (20, 1)), np.tile(predicted, (20, 1))
    narrow = f1_interval(many[0], [many[1]], np.arange(1200))
    assert narrow[1] - narrow[0] < 0.5 * (high - low)


def test_rows_of_one_group_are_drawn_together_so_copies_add_no_certainty() -> None:
    truth, predicted = decisions()
    alone = f1_interval(truth, [predicted], ROWS)
    copied = f1_interval(np.tile(truth, (20, 1)), [np.tile(predicted, (20, 1))], np.tile(ROWS, 20))
    np.testing.assert_allclose(copied, alone, atol=1e-9)


def test_several_seeds_give_the_interval_of_their_mean() -> None:
    truth, predicted = decisions()
    np.testing.assert_allclose(f1_interval(truth, [predicted] * 3, ROWS), f1_interval(truth, [predicted], ROWS))


def test_perfect_predictions_leave_no_doubt() -> None:
    truth, _ = decisions()
    assert f1_interval(truth, [truth], ROWS) == (1.0, 1.0)


def test_squared_errors_follow_the_drawn_rows() -> None:
    errors = np.random.default_rng(1).normal(size=60)
    rng = np.random.default_rng(0)
    values = [np.mean(errors[np.repeat(ROWS, rng.multinomial(60, np.full(60, 1 / 60)))] ** 2) for _ in range(1000)]
    np.testing.assert_allclose(mse_interval([errors], ROWS), np.percentile(values, [2.5, 97.5]), atol=1e-12)
    np.testing.assert_allclose(mse_interval([errors], np.zeros(60, np.int64)), [np.mean(errors**2)] * 2)
