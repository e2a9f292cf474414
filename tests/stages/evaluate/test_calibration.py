"""Calibration: its bins and errors against scikit-learn and a loop, and the table beside the metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from stages.evaluate.metrics import Calibration, calibration_lines, one_hot
from tests.stages.evaluate.case import HALF, RIGHT, Case

QUIET = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def scored(seed: int) -> np.ndarray:
    """Scores [n, K], many of them at the edges of bins."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 15)), int(rng.integers(2, 5)))
    return np.where(rng.random(shape) < 0.5, rng.integers(0, 11, shape) / 10, rng.random(shape)).astype(np.float32)


def error(confidence: np.ndarray, right: np.ndarray) -> float:
    """The expected calibration error, bin by bin: (0, 0.1], (0.1, 0.2] ... and 0 in the first."""
    total = 0.0
    for low in np.linspace(0, 1, 11)[:-1]:
        inside = (confidence > low) & (confidence <= np.linspace(0, 1, 11)[round(low * 10) + 1])
        inside |= (confidence == 0) & (low == 0)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - confidence[inside].astype(float).mean())
    return total / len(confidence)


def agree(found: Calibration, confidence: np.ndarray, right: np.ndarray) -> None:
    filled = found.counts > 0
    shares, means = calibration_curve(right, confidence.astype(float), n_bins=10)
    np.testing.assert_allclose(found.right[filled] / found.counts[filled], shares)
    np.testing.assert_allclose(found.scores[filled] / found.counts[filled], means, rtol=1e-6)
    assert found.metrics["ece"] == pytest.approx(error(confidence, right), abs=1e-6)


@QUIET
@given(SEEDS)
def test_several_labels_count_every_class_of_every_row(seed: int) -> None:
    scores = scored(seed)
    labels = np.random.default_rng(seed).random(scores.shape) < 0.4
    found = Calibration.of(scores, labels, single=False)
    agree(found, scores.ravel(), labels.ravel())
    brier = brier_score_loss(labels.ravel(), scores.ravel(), labels=[False, True])
    assert found.metrics["brier"] == pytest.approx(brier, abs=1e-6)


@QUIET
@given(SEEDS)
def test_a_single_class_counts_the_score_of_the_predicted_one(seed: int) -> None:
    scores = scored(seed) + np.float32(0.01)
    scores /= scores.sum(axis=1, keepdims=True)
    truth = np.random.default_rng(seed).integers(0, scores.shape[1], len(scores))
    found = Calibration.of(scores, one_hot(truth, scores.shape[1]), single=True)
    agree(found, scores.max(axis=1), scores.argmax(axis=1) == truth)
    distances = [np.sum((row - np.eye(len(row))[true]) ** 2) for row, true in zip(scores, truth, strict=True)]
    assert found.metrics["brier"] == pytest.approx(np.mean(distances), abs=1e-6)


def test_blocks_of_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).random((50, 4)).astype(np.float32)
    labels = scores > 0.6
    whole = Calibration.of(scores, labels, single=False)
    monkeypatch.setattr("stages.evaluate.metrics._BLOCK_CELLS", 28)
    parts = Calibration.of(scores, labels, single=False)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(parts.right, whole.right)
    assert parts.metrics == pytest.approx(whole.metrics)


def test_the_table_has_a_line_for_each_bin_and_blanks_for_empty_ones() -> None:
    scores = np.float32([[0.05, 0.25], [0.21, 1.0]])
    header, *lines = calibration_lines(Calibration.of(scores, np.array([[0, 1], [0, 1]], bool), single=False))
    assert header == ["low", "high", "count", "confidence", "share"]
    assert [line[:3] for line in lines[:3]] == [["0.0", "0.1", "1"], ["0.1", "0.2", "0"], ["0.2", "0.3", "2"]]
    assert (lines[1][3:], lines[2][3:]) == (["", ""], ["0.230000", "0.500000"])
    assert lines[9] == ["0.9", "1.0", "1", "1.000000", "1.000000"]


def test_the_table_is_of_the_first_seed_and_the_errors_are_of_all(case: Case) -> None:
    case.predict({0: RIGHT, 3: HALF})
    values, rows = case.evaluate(), case.table("calibration.csv")
    case.predict({0: RIGHT})
    alone = case.evaluate()
    assert case.table("calibration.csv") == rows
    assert sum(int(row["count"]) for row in rows) == 9
    case.predict({0: HALF})
    other = case.evaluate()
    for name in ("ece", "brier"):
        assert values[name] == pytest.approx((alone[name] + other[name]) / 2, abs=2e-6)
        assert values[f"{name}_std"] == pytest.approx(abs(alone[name] - other[name]) / np.sqrt(2), abs=2e-6)


def test_values_of_a_regression_are_no_confidence(dataset: Any) -> None:
    case = Case(dataset, "regression", np.arange(8.0), ())
    case.predict({0: {row: [float(row)] for row in range(2, 8)}})
    assert {"ece", "brier"}.isdisjoint(case.evaluate())
    assert case.table("calibration.csv") == []
