"""Retrieval metrics on rankings small enough to count by hand, and the laws that hold for any ranking."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import InputError
from stages.retrieve.metrics import Outcome, metric_intervals, reached_shares, retrieval_metrics
from stages.retrieve.relevance import Relevance


def outcome(hits: list[list[int]], relevant: list[int], first: list[int], candidates: int = 10) -> Outcome:
    return Outcome(
        np.array(hits, bool), np.array(relevant), np.array(first), np.full(len(hits), candidates, dtype=np.int64)
    )


def first_of(relevant: int, places: int = 10) -> float:
    """The mean of 1 / place of the first of some among ten, over all ways to lay them out."""
    return float(np.mean([1 / (1 + min(each)) for each in itertools.combinations(range(places), relevant)]))


FIRST_OF_2, FIRST_OF_4 = first_of(2), first_of(4)


def test_three_queries_counted_by_hand() -> None:
    values = retrieval_metrics(outcome([[0, 1, 1], [0, 0, 0], [1, 0, 0]], [2, 4, 1], [2, 5, 1]), [1, 3])
    assert values == {
        "n_queries": 3,
        "n_unanswerable": 0,
        "top_1": pytest.approx(1 / 3),
        "top_1_all": pytest.approx(1 / 3),
        "precision_1": pytest.approx(1 / 3),
        "recall_1": pytest.approx(1 / 3),
        "top_3": pytest.approx(2 / 3),
        "top_3_all": pytest.approx(2 / 3),
        "precision_3": pytest.approx((2 / 3 + 0 + 1 / 3) / 3),
        "recall_3": pytest.approx((1 + 0 + 1) / 3),
        "mrr": pytest.approx((1 / 2 + 1 / 5 + 1) / 3),
        "random_top_1": pytest.approx((0.2 + 0.4 + 0.1) / 3),
        # 1 - C(8, 3) / C(10, 3), 1 - C(6, 3) / C(10, 3), 1 - C(9, 3) / C(10, 3)
        "random_top_3": pytest.approx(((1 - 56 / 120) + (1 - 20 / 120) + (1 - 84 / 120)) / 3),
        "random_recall_1": pytest.approx(1 / 10),
        "random_recall_3": pytest.approx(3 / 10),
        "random_mrr": pytest.approx((FIRST_OF_2 + FIRST_OF_4 + np.mean(1 / np.arange(1, 11))) / 3),
    }


def test_intervals_hold_their_mean_and_are_wider_where_queries_go_in_groups() -> None:
    rng = np.random.default_rng(3)
    one = (rng.random(60) < 0.4).astype(int)
    hits = np.repeat(one, 5)[:, None]  # five queries of a group find alike
    relevant = np.ones(300, np.int64)
    relevant[:5] = 0
    asked = Outcome(hits.astype(bool), relevant, np.where(hits[:, 0] > 0, 1, 4), np.full(300, 10))
    alone, together = (metric_intervals(asked, [1], groups) for groups in (np.arange(300), np.arange(300) // 5))
    assert set(alone) == {f"{name}_1_{end}" for name in ("top", "precision", "recall") for end in ("low", "high")} | {
        "mrr_low",
        "mrr_high",
    }
    mean = retrieval_metrics(asked, [1])["top_1"]
    for found in (alone, together):
        assert found["top_1_low"] < mean < found["top_1_high"]
    widths = [found["top_1_high"] - found["top_1_low"] for found in (alone, together)]
    assert widths[1] / widths[0] == pytest.approx(5**0.5, rel=0.15)


def test_blind_draws_that_cannot_miss_reach_one() -> None:
    values = retrieval_metrics(outcome([[1] * 4], [3], [1], candidates=5), [2, 3, 4])
    assert values["random_top_1"] == pytest.approx(3 / 5)  # told although 1 is none of the K
    assert values["random_top_2"] == pytest.approx(1 - 1 / 10)
    assert values["random_top_3"] == values["random_top_4"] == 1


def test_the_shares_of_a_compared_ranking_leave_unanswerable_queries_out() -> None:
    some = outcome([[0, 1], [1, 0], [0, 0]], [1, 2, 0], [2, 1, 0])
    assert reached_shares(some, [2, 1]) == {1: 0.5, 2: 1.0}


def test_a_query_without_relevant_items_leaves_the_means_and_is_a_miss_only_in_all() -> None:
    values = retrieval_metrics(outcome([[1], [0]], [3, 0], [1, 0]), [1])
    assert (values["n_queries"], values["n_unanswerable"]) == (2, 1)
    assert (values["top_1"], values["top_1_all"], values["mrr"]) == (1.0, 0.5, 1.0)


def test_no_answerable_query_is_an_error_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"expected queries .* found none among 1; choose relevance: any_label"):
        retrieval_metrics(outcome([[0]], [0], [0]), [1])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_top_k_and_recall_never_fall_with_k(seed: int) -> None:
    rng = np.random.default_rng(seed)
    full = rng.random((6, 12)) < 0.3
    relevant = full.sum(axis=1)
    if not relevant.any():
        return
    first = np.where(relevant > 0, full.argmax(axis=1) + 1, 0)
    values = retrieval_metrics(Outcome(full[:, :10], relevant, first, np.full(6, 12)), range(1, 11))
    for name in ("top", "recall"):
        series = [values[f"{name}_{k}"] for k in range(1, 11)]
        assert series == sorted(series)
    assert values["top_1"] == values["precision_1"]
    assert values["top_1"] <= values["mrr"] <= 1


LABELS = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]], bool)


def test_one_shared_label_or_just_the_same_labels() -> None:
    rows = np.arange(4)
    shares = Relevance(LABELS, "any_label").between(rows, rows)
    same = Relevance(LABELS, "same_labels").between(rows, rows)
    assert shares.astype(int).tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert same.astype(int).tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert Relevance(LABELS, "any_label").counts(rows, rows).tolist() == [2, 2, 2, 0]


def test_single_classes_are_compared_by_number() -> None:
    found = Relevance(np.array([3, 5, 3]), "any_label").between(np.array([0]), np.array([0, 1, 2]))
    assert found.tolist() == [[False, False, True]]
