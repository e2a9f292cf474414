"""Graded relevance: the Jaccard index of label sets, its ranking measures, and what blind choices reach of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import jaccard_score, ndcg_score

from stages.retrieve.metrics import Graded, Outcome, metric_intervals, retrieval_metrics
from stages.retrieve.params import RetrieveParams
from stages.retrieve.relevance import Relevance, agreement, grades_of
from store.errors import InputError
from tests.stages.retrieve.test_run import Case

QUIET = settings(max_examples=40, deadline=None, derandomize=True)


def everything(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    return queries[:, None] != gallery[None, :]


@QUIET
@given(st.integers(0, 2**32 - 1))
def test_the_index_is_that_of_scikit_learn_and_empty_sets_agree(seed: int) -> None:
    labels = np.random.default_rng(seed).random((7, 5)) < 0.4
    expected = [[jaccard_score(one, other, zero_division=1.0) for other in labels] for one in labels]
    np.testing.assert_allclose(agreement(labels, labels), expected, rtol=1e-6)


@QUIET
@given(st.integers(0, 2**32 - 1))
def test_ndcg_is_that_of_scikit_learn_and_blind_orders_average_to_what_is_told(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random((9, 4)) < 0.5
    labels[:, 0] |= ~labels.any(axis=1)
    queries, gallery = np.arange(3), np.arange(3, 9)
    grades = grades_of(labels, queries, gallery, everything, 4)
    gains = agreement(labels[queries], labels[gallery]).astype(float)
    np.testing.assert_allclose(grades.ideal, -np.sort(-gains, axis=1)[:, :4])
    graded = Graded(gains[:, :4], grades.mean, grades.ideal)
    some = gains.any(axis=1)
    falling = np.tile(-np.arange(6.0), (3, 1))
    found = graded.by_query([1, 4])
    assert found["jaccard_4"] == pytest.approx(gains[:, :4].mean(axis=1))
    if some.all():
        assert found["ndcg_4"].mean() == pytest.approx(ndcg_score(gains, falling, k=4))
        orders = [gains[:, rng.permutation(6)[:4]] for _ in range(3000)]
        blind = graded.blind([4])
        means = np.mean([Graded(each, grades.mean, grades.ideal).by_query([4])["ndcg_4"] for each in orders], axis=0)
        assert means == pytest.approx(blind["random_ndcg_4"], abs=0.03)
        assert np.mean([each.mean(axis=1) for each in orders], axis=0) == pytest.approx(
            blind["random_jaccard"], abs=0.03
        )


def test_blocks_of_the_gallery_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).random((40, 6)) < 0.4
    rows = np.arange(40)
    whole = grades_of(labels, rows, rows, everything, 5)
    monkeypatch.setattr("stages.retrieve.relevance._STEP", 7)
    parts = grades_of(labels, rows, rows, everything, 5)
    np.testing.assert_array_equal(parts.ideal, whole.ideal)
    np.testing.assert_allclose(parts.mean, whole.mean)


def test_on_labels_that_all_share_any_label_says_nothing_and_the_index_does() -> None:
    """Every item has the first label: a blind choice is right always, and half as alike as the right neighbours."""
    labels = np.zeros((40, 21), bool)
    labels[:, 0] = labels[np.arange(40), 1 + np.arange(40) // 2] = True
    queries, gallery = np.arange(0, 40, 2), np.arange(1, 40, 2)
    grades = grades_of(labels, queries, gallery, everything, 0)
    ones = np.ones(20, np.int64)
    found = Outcome(ones[:, None] > 0, ones * 20, ones, ones * 20, Graded(np.ones((20, 1)), grades.mean, grades.ideal))
    values = retrieval_metrics(found, [1])
    assert values["top_1"] == values["random_top_1"] == values["jaccard_1"] == 1.0
    assert values["random_jaccard"] == pytest.approx((1 + 19 / 3) / 20, rel=1e-6)
    assert "ndcg_1" not in values
    low, high = (metric_intervals(found, [1], np.arange(20))[f"jaccard_1_{end}"] for end in ("low", "high"))
    assert low < 1.0 == high


def test_so_large_a_share_makes_an_item_relevant() -> None:
    labels = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0]], bool)
    rows = np.arange(5)
    by_share = {
        share: Relevance(labels, "jaccard", share).between(rows[:1], rows)[0].tolist() for share in (0.5, 0.6, 1.0)
    }
    assert by_share[0.5] == [False, True, True, False, True]
    assert by_share[0.6] == [False, True, False, False, True]
    assert by_share[1.0] == [False, False, False, False, True]


def test_a_run_scores_the_index_and_graded_relevance_adds_ndcg(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.write()
    any_label, graded = case.run(k=[1, 3]), case.run(k=[1, 3], relevance="jaccard")
    assert {name for name in any_label if "ndcg" in name} == set()
    assert graded["jaccard_3"] <= 1
    for name in ("jaccard_1", "jaccard_3", "ndcg_1", "ndcg_3"):
        assert 0 <= graded[f"{name}_low"] <= graded[name] <= graded[f"{name}_high"] <= 1
        blind = "random_jaccard" if name.startswith("jaccard") else f"random_{name}"
        assert 0 < graded[blind] <= 1
    assert 0 < any_label["random_jaccard"] < any_label["random_top_1"]


def test_graded_relevance_of_single_classes_and_a_bound_without_it_are_refused(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.write("multiclass")
    assert "jaccard_1" not in case.run(k=[1])
    with pytest.raises(InputError, match=r"several labels per item .* choose relevance: any_label"):
        case.run(k=[1], relevance="jaccard")
    with pytest.raises(ValidationError, match=r"`at_least` is an option of `relevance: jaccard`"):
        RetrieveParams(features=["a"], at_least=0.4)
