"""One class in train: every head, and every fusion around it, predicts that class always and says so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.models.heads.catalog import HEADS, build_head
from stages.models.heads.model import LabelledRows, Problem

CLASSIFIERS = [row.name for row in HEADS.values() if "multiclass" in row.tasks]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_only_class_is_predicted_always_with_a_warning(
    name: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    train, dev = LabelledRows(x[:8], np.full(8, 2)), LabelledRows(x[8:], np.array([0, 1, 2, 0]))
    problem = Problem("multiclass", 3, 0)
    with caplog.at_level(logging.WARNING, "diptych.heads"):
        model = build_head(name, 4, HEADS[name].options(), problem).fit(train, dev)
    assert "the train rows hold a single class" in caplog.text
    expected = np.tile(np.float32([0, 0, 1]), (12, 1))
    np.testing.assert_array_equal(model.scores(x), expected)
    assert list(model.history) == []
    model.save(tmp_path)
    again = build_head(name, 4, HEADS[name].options(), problem).restore(tmp_path)
    np.testing.assert_array_equal(again.scores(x), expected)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_classes_are_no_reason_to_warn(name: str, caplog: pytest.LogCaptureFixture) -> None:
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    options: dict[str, Any] = {"epochs": 1} if name in {"linear", "mlp", "dnn"} else {}
    rows = LabelledRows(x, np.arange(12) % 2)
    build_head(name, 4, HEADS[name].options(**options), Problem("multiclass", 3, 0)).fit(rows, rows)
    assert not caplog.records
