"""The votes of `knn`: those of scikit-learn where distances differ, and of the first rows where they are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from stages.heads.catalog import HEADS, build_head
from stages.heads.model import Problem, Rows


def scores(task: Any, outputs: int, train: Rows, x: np.ndarray, neighbours: int) -> np.ndarray:
    model = build_head("knn", train.x.shape[1], HEADS["knn"].options(neighbours=neighbours), Problem(task, outputs, 0))
    return model.fit(train, Rows(train.x[:0], train.y[:0])).scores(x)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree", "ball_tree"])
def test_without_ties_they_are_those_of_every_search_of_scikit_learn(algorithm: str, x: np.ndarray) -> None:
    y = np.random.default_rng(1).integers(0, 4, 90)
    labels, values = np.stack([y % 2, y // 2], axis=1), y[:, None] * 0.3
    for task, targets, kind, outputs in (
        ("multiclass", y, KNeighborsClassifier, 4),
        ("multilabel", labels.astype(np.float32), KNeighborsClassifier, 2),
        ("regression", values.astype(np.float32), KNeighborsRegressor, 1),
    ):
        found = scores(task, outputs, Rows(x[:60], targets[:60]), x[60:], 7)
        peer = kind(7, algorithm=algorithm).fit(x[:60], targets[:60])
        if task == "multiclass":
            expected = peer.predict_proba(x[60:])
        elif task == "multilabel":
            expected = np.stack([each[:, 1] for each in peer.predict_proba(x[60:])], axis=1)
        else:
            expected = peer.predict(x[60:])
        np.testing.assert_allclose(found, expected, atol=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_of_equally_near_rows_the_first_vote(seed: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    train, asked = (rng.integers(-2, 3, (count, 2)).astype(np.float32) for count in (40, 10))
    distance = ((asked[:, None] - train[None]) ** 2).sum(axis=2)
    first = np.argsort(distance, axis=1, kind="stable")[:, :neighbours]
    found = scores("multilabel", 40, Rows(train, np.eye(40, dtype=np.float32)), asked, neighbours)
    expected = np.zeros((10, 40))
    np.put_along_axis(expected, first, 1 / neighbours, axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_queries_that_are_the_gallery_find_themselves(x: np.ndarray) -> None:
    found = scores("multilabel", 90, Rows(x, np.eye(90, dtype=np.float32)), x, 1)
    assert (found.argmax(axis=1) == np.arange(90)).mean() == 1
