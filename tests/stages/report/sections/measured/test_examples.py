"""What is said of an item, how good that is, and which items and classes get shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.models.measures.decisions import Decision
from stages.report.draw.confusion import count_pairs, most_confused
from stages.report.sections.measured.examples import label_quality, pick


def test_half_is_enough_for_many_labels_and_the_first_highest_wins_for_one() -> None:
    scores = np.array([[0.5, 0.49, 0.9], [0.2, 0.2, 0.1]], np.float32)
    assert Decision().classes(scores, "multilabel").tolist() == [[True, False, True], [False, False, False]]
    assert Decision().classes(scores, "multiclass").argmax(axis=1).tolist() == [2, 0]


def test_quality_orders_by_f1_and_then_by_sureness() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], bool)
    scores = np.array([[0.9, 0.0], [0.6, 0.4], [0.6, 0.6], [0.0, 0.0]], np.float32)
    quality = label_quality(scores, scores >= 0.5, truth)
    assert np.argsort(-quality).tolist() == [3, 0, 1, 2]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(0, 30), st.integers(0, 5))
def test_no_item_is_shown_twice_and_as_many_as_asked_are(rows: int, count: int, seed: int) -> None:
    quality = np.random.default_rng(seed).random(rows)
    best, worst = pick(quality, count, seed)
    shown = [*best.tolist(), *worst.tolist()]
    assert len(shown) == len(set(shown)) == min(rows, count)
    if len(worst):
        assert quality[best].min() >= quality[worst].max()


def test_the_most_confused_classes_are_chosen_and_nothing_is_no_class() -> None:
    rows = [("a", "b")] * 3 + [("c", "(nothing)")] * 9 + [("d", "a")] + [("e", "e")] * 5
    pairs = count_pairs([{"actual": actual, "predicted": predicted} for actual, predicted in rows])
    assert most_confused(pairs, 3) == ["a", "b", "d"]
    assert most_confused(pairs) == ["a", "b", "c", "d", "e"]
