"""The curve over all list lengths: counted by hand, and at each k what the metrics say."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.retrieve.curve import curve, write_curve
from stages.retrieve.metrics import Outcome, retrieval_metrics


def drawn(seed: int) -> Outcome:
    """Seven queries, the last of them unanswerable, over galleries of different sizes."""
    rng = np.random.default_rng(seed)
    candidates = rng.integers(9, 15, 7)
    full = np.array([rng.permutation(14) for _ in range(7)]) < rng.integers(1, 5, (7, 1))
    full[6] = False
    relevant = np.where(np.arange(7) < 6, np.maximum(full.sum(axis=1), 1), 0)
    return Outcome(full[:, :8], relevant, np.where(relevant > 0, 1, 0), candidates)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_at_each_k_it_says_what_the_metrics_say(seed: int) -> None:
    outcome = drawn(seed)
    values = retrieval_metrics(outcome, range(1, 9))
    points = list(curve(outcome))
    assert [point[0] for point in points] == list(range(1, 9))
    for k, *point in points:
        names = (f"top_{k}", f"recall_{k}", f"precision_{k}", f"random_top_{k}")
        assert point == pytest.approx([values[name] for name in names], abs=1e-12)


def test_the_file_has_one_line_per_k(tmp_path: Path) -> None:
    hits = np.array([[False, True, False], [True, True, True]])
    write_curve(tmp_path / "curve.csv", Outcome(hits, np.array([1, 3]), np.array([2, 1]), np.array([4, 4])))
    with (tmp_path / "curve.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["k", "top_k", "recall", "precision", "random"],
        ["1", "0.500000", f"{1 / 6:.6f}", "0.500000", "0.500000"],
        ["2", "1.000000", f"{(1 + 2 / 3) / 2:.6f}", "0.750000", "0.750000"],  # blind: 2/4 and 1
        ["3", "1.000000", "1.000000", f"{(1 / 3 + 1) / 2:.6f}", "0.875000"],
    ]
