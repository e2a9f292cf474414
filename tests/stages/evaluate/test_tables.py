"""The per-class table over seeds, and the confusion list."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from stages.evaluate.metrics import ClassCounts, one_hot
from stages.evaluate.tables import NOTHING, confusion_pairs, per_class

from .case import CLASSES

QUIET = settings(max_examples=60, deadline=None, derandomize=True)


def bits(*rows: str) -> np.ndarray:
    return np.array([[letter == "1" for letter in row] for row in rows])


def test_each_class_has_a_row_with_the_mean_over_seeds() -> None:
    truth = bits("100", "110", "010")
    seeds = [ClassCounts.of(truth, each) for each in (bits("100", "110", "010"), bits("100", "000", "100"))]
    bird, cup, sun = per_class(CLASSES, {"bird": "animal"}, seeds)
    assert (bird.name, bird.super_class, bird.support) == ("bird", "animal", 2)
    assert (bird.precision, bird.recall, bird.f1) == (0.75, 0.75, 0.75)
    assert bird.accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert bird.f1_std == pytest.approx(np.std([1, 0.5], ddof=1))
    assert (cup.support, cup.recall, cup.super_class) == (2, 0.5, "")
    assert (sun.support, sun.accuracy, sun.precision, sun.recall, sun.f1, sun.f1_std) == (0, 1, 0, 0, 0, 0)


def test_a_single_seed_has_no_deviation() -> None:
    (row, *_) = per_class(CLASSES, {}, [ClassCounts.of(bits("100"), bits("100"))])
    assert row.f1_std is None


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ("110", "110", [("bird", "bird"), ("cup", "cup")]),
        ("100", "010", [("bird", "cup")]),
        ("100", "011", [("bird", "cup"), ("bird", "sun")]),
        ("100", "000", [("bird", NOTHING)]),
        ("110", "101", [("bird", "bird"), ("cup", "sun")]),
        ("000", "111", []),
    ],
)
def test_hits_and_misses_as_pairs(truth: str, predicted: str, expected: list[tuple[str, str]]) -> None:
    assert list(confusion_pairs(bits(truth), bits(predicted), CLASSES)) == expected


@QUIET
@given(st.integers(0, 2**32 - 1))
def test_with_one_class_a_row_it_is_the_ordinary_confusion_matrix(seed: int) -> None:
    truth, predicted = np.random.default_rng(seed).integers(0, 3, size=(2, 15))
    pairs = Counter(confusion_pairs(one_hot(truth, 3), one_hot(predicted, 3), CLASSES))
    expected = sk.confusion_matrix(truth, predicted, labels=[0, 1, 2])
    assert [[pairs[a, b] for b in CLASSES] for a in CLASSES] == expected.tolist()
