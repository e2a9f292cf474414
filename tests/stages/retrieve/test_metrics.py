"""Retrieval metrics: by hand, against a loop over the queries, against scikit-learn, and at every list length."""

from __future__ import annotations

import csv
import itertools
from math import comb
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from stages.retrieve.metrics import (
    Outcome,
    curve,
    metric_intervals,
    query_counts,
    reached_shares,
    retrieval_metrics,
    write_curve,
)
from stages.retrieve.relevance import Relevance
from store.errors import InputError


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
    asked = outcome([[1], [0]], [3, 0], [1, 0])
    values = retrieval_metrics(asked, [1])
    assert query_counts(asked) == {"n_queries": 2, "n_unanswerable": 1}
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


QUIET = settings(max_examples=80, deadline=None, derandomize=True)


def rankings(seed: int, longest: int) -> list[list[bool]]:
    """Full rankings of galleries of several sizes, some without a relevant item; at least one has one."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(longest, longest + 8, size=rng.integers(1, 9))
    rates = rng.choice([0.0, 0.1, 0.6, 1.0], size=len(sizes))
    found = [(rng.random(size) < rate).tolist() for size, rate in zip(sizes, rates, strict=True)]
    found[0][int(rng.integers(len(found[0])))] = True
    return found


def outcome_of(full: list[list[bool]], longest: int) -> Outcome:
    return Outcome(
        np.array([ranked[:longest] for ranked in full], bool),
        np.array([sum(ranked) for ranked in full]),
        np.array([ranked.index(True) + 1 if any(ranked) else 0 for ranked in full]),
        np.array([len(ranked) for ranked in full]),
    )


def blind_first(relevant: int, items: int) -> float:
    """The mean of 1 / place of the first relevant item, by the share of the orders that have it there."""
    ways = comb(items, relevant)
    return sum(comb(items - place, relevant - 1) / ways / place for place in range(1, items - relevant + 2))


def counted(full: list[list[bool]], ks: list[int]) -> dict[str, float]:
    answered = [ranked for ranked in full if any(ranked)]
    found: dict[str, float] = {}
    for k in ks:
        found[f"top_{k}"] = fmean(any(ranked[:k]) for ranked in answered)
        found[f"top_{k}_all"] = fmean(any(ranked[:k]) for ranked in full)
        found[f"precision_{k}"] = fmean(sum(ranked[:k]) / k for ranked in answered)
        found[f"recall_{k}"] = fmean(sum(ranked[:k]) / sum(ranked) for ranked in answered)
    found["mrr"] = fmean(1 / (ranked.index(True) + 1) for ranked in answered)
    for k in {1, *ks}:
        missed = [comb(len(ranked) - sum(ranked), k) / comb(len(ranked), k) for ranked in answered]
        found[f"random_top_{k}"] = 1 - fmean(missed)
    for k in ks:
        found[f"random_recall_{k}"] = fmean(k / len(ranked) for ranked in answered)
    found["random_mrr"] = fmean(blind_first(sum(ranked), len(ranked)) for ranked in answered)
    return found


@QUIET
@given(st.integers(0, 2**32 - 1), st.sets(st.integers(1, 6), min_size=1, max_size=3))
def test_all_are_those_of_a_loop_over_the_queries(seed: int, ks: set[int]) -> None:
    full = rankings(seed, max(ks))
    ranked, expected = outcome_of(full, max(ks)), counted(full, sorted(ks))
    assert retrieval_metrics(ranked, list(ks)) == pytest.approx(expected)
    assert query_counts(ranked) == {"n_queries": len(full), "n_unanswerable": sum(not any(each) for each in full)}
    assert reached_shares(ranked, list(ks)) == pytest.approx({k: expected[f"top_{k}"] for k in ks})


@QUIET
@given(st.integers(0, 2**32 - 1))
def test_one_relevant_item_a_query_makes_mrr_what_scikit_learn_calls_average_precision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = int(rng.integers(1, 8)), int(rng.integers(2, 9))
    places = rng.integers(0, gallery, size=queries)
    full = [[place == at for at in range(gallery)] for place in places.tolist()]
    found = retrieval_metrics(outcome_of(full, gallery), [1, gallery])
    scores = np.tile(-np.arange(gallery, dtype=float), (queries, 1))
    assert found["mrr"] == pytest.approx(sk.label_ranking_average_precision_score(np.array(full), scores))
    assert found["top_1"] == pytest.approx(np.mean(places == 0))
    assert found[f"recall_{gallery}"] == 1


def test_a_single_query_with_a_single_item() -> None:
    assert retrieval_metrics(outcome_of([[True]], 1), [1]) == counted([[True]], [1])


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
