"""The metrics: counted by hand, against scikit-learn, and on two classes the published figures of Goodreads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from stages.evaluate.metrics import (
    ClassCounts,
    f1_family,
    multiclass_metrics,
    multilabel_metrics,
    one_hot,
    ranks,
    regression_metrics,
)
from stages.models.heads.catalog import HEADS, build_head
from stages.models.heads.model import LabelledRows, Problem
from stages.models.measures.decisions import decide

QUIET = settings(max_examples=80, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def bits(*rows: str) -> np.ndarray:
    return np.array([[letter == "1" for letter in row] for row in rows])


TRUTH, PREDICTED = bits("101", "010", "110", "001"), bits("101", "011", "100", "001")


def test_the_multilabel_fixture() -> None:
    found = multilabel_metrics(TRUTH, PREDICTED)
    expected = {
        "subset_accuracy": 0.5, "label_accuracy": 0.833333, "hamming": 0.166667, "f1_macro": 0.822222,
        "f1_macro_all": 0.822222, "f1_micro": 0.833333, "f1_samples": 0.833333,
    }  # fmt: skip
    assert {name: round(found[name], 6) for name in expected} == expected
    np.testing.assert_allclose(ClassCounts.of(TRUTH, PREDICTED).f1, [1, 0.666667, 0.8], atol=1e-6)


@pytest.mark.parametrize(
    ("confusion", "accuracy", "precision", "recall", "f1"),
    [
        ((631, 339, 6, 24), 0.655, 0.6505, 0.9906, 0.785314),
        ((508, 185, 129, 178), 0.686, 0.7330, 0.7975, 0.763910),
        ((510, 173, 127, 190), 0.700, 0.7467, 0.8006, 0.772727),
        ((637, 363, 0, 0), 0.637, 0.637, 1.0, 0.778253),
        ((635, 362, 2, 1), 0.636, 0.6369, 0.9969, 0.777234),
        ((573, 269, 64, 94), 0.667, 0.6805, 0.8995, 0.774848),
    ],
)
def test_the_binary_fixtures(
    confusion: tuple[int, int, int, int], accuracy: float, precision: float, recall: float, f1: float
) -> None:
    hits, alarms, misses, rejections = confusion
    truth = np.repeat([1, 0, 1, 0], [hits, alarms, misses, rejections])
    predicted = np.repeat([1, 1, 0, 0], [hits, alarms, misses, rejections])
    counts = ClassCounts.of(one_hot(truth, 2), one_hot(predicted, 2))
    assert round(float(counts.precision[1]), 4) == precision
    assert round(float(counts.recall[1]), 4) == recall
    assert round(float(counts.f1[1]), 6) == f1
    assert multiclass_metrics(one_hot(predicted, 2).astype(np.float32), truth, 1)["accuracy"] == accuracy


def test_the_top_k_fixture_ranks_equal_scores_by_the_lower_index() -> None:
    scores, truth = np.float32([[0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.2, 0.2, 0.6]]), np.array([2, 1, 0])
    assert ranks(scores, truth).tolist() == [1, 2, 1]
    found = [multiclass_metrics(scores, truth, k) for k in (1, 2, 3)]
    assert found[0]["accuracy"] == 0
    assert round(found[1]["top_2"], 6) == 0.666667
    assert found[2]["top_3"] == 1


def test_the_one_against_rest_fixture() -> None:
    truth = np.zeros(1000, np.int64)
    scores = one_hot(np.where(np.arange(1000) < 443, 0, 1), 15).astype(np.float32)
    found = multiclass_metrics(scores, truth, 5)
    assert found["accuracy"] == 0.443
    assert round(found["ovr_accuracy"], 6) == 0.925733


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction with empty rows, classes without support and classes never predicted."""
    rng = np.random.default_rng(seed)
    n, k = rng.integers(1, 12), rng.integers(1, 6)
    rates = rng.choice([0.0, 0.2, 0.6], size=(2, k))
    return rng.random((n, k)) < rates[0], rng.random((n, k)) < rates[1]


@QUIET
@given(SEEDS)
def test_multilabel_metrics_agree_with_scikit_learn(seed: int) -> None:
    truth, predicted = drawn(seed)
    found = multilabel_metrics(truth, predicted)
    seen = np.flatnonzero(truth.any(axis=0))
    if truth.shape[1] == 1:  # scikit-learn would take a single column for a binary problem
        truth, predicted = (np.concatenate([each, np.zeros_like(each)], axis=1) for each in (truth, predicted))
    else:
        assert found["f1_macro_all"] == pytest.approx(sk.f1_score(truth, predicted, average="macro", zero_division=0))
        assert found["hamming"] == pytest.approx(sk.hamming_loss(truth, predicted))
        assert found["label_accuracy"] == pytest.approx(1 - sk.hamming_loss(truth, predicted))
    for average in ("micro", "weighted"):
        expected = sk.f1_score(truth, predicted, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(expected)
    samples = sk.f1_score(truth, predicted, average="samples", zero_division=1)
    assert found["f1_samples"] == pytest.approx(samples)
    assert found["subset_accuracy"] == pytest.approx(sk.accuracy_score(truth, predicted))
    for name, function in (("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score)):
        kwargs = {"labels": seen, "average": "macro", "zero_division": 0}
        expected = function(truth, predicted, **kwargs) if len(seen) else 0.0
        assert found[f"{name}_macro"] == pytest.approx(expected)
    compared = {"f1_macro", "f1_macro_all", "f1_micro", "f1_weighted", "f1_samples", "precision_macro", "recall_macro"}
    assert set(found) == compared | {"subset_accuracy", "label_accuracy", "hamming"}


def test_a_row_empty_in_both_counts_as_right_in_the_mean_over_rows() -> None:
    truth, predicted = bits("00", "00", "10"), bits("00", "10", "10")
    assert multilabel_metrics(truth, predicted)["f1_samples"] == pytest.approx((1 + 0 + 1) / 3)


def test_classes_without_support_are_left_out_of_macro_and_counted_in_macro_all() -> None:
    found = multilabel_metrics(bits("100", "100"), bits("110", "100"))
    assert found["f1_macro"] == 1
    assert found["f1_macro_all"] == pytest.approx(1 / 3)


def test_nothing_true_and_nothing_predicted() -> None:
    found = multilabel_metrics(bits("00", "00"), bits("00", "00"))
    assert (found["f1_macro"], found["f1_micro"], found["f1_weighted"], found["f1_samples"]) == (0, 0, 0, 1)
    assert found["subset_accuracy"] == 1


def drawn_scores(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and the true classes."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 20)), int(rng.integers(2, 7))
    return (rng.integers(0, 4, size=(n, k)) / 4).astype(np.float32), rng.integers(0, k, size=n)


def brute_rank(row: np.ndarray, true: int) -> int:
    order = sorted(range(len(row)), key=lambda index: (-row[index], index))
    return order.index(true)


@QUIET
@given(SEEDS, st.integers(1, 8))
def test_top_k_agrees_with_brute_force_over_ties(seed: int, k: int) -> None:
    scores, truth = drawn_scores(seed)
    expected = [brute_rank(row, true) for row, true in zip(scores, truth, strict=True)]
    assert ranks(scores, truth).tolist() == expected
    hits = np.array(expected) < k
    found = multiclass_metrics(scores, truth, k)
    name = "accuracy" if k == 1 else f"top_{k}"
    assert found[name] == pytest.approx(hits.mean())
    per_class = np.mean([hits[truth == each].mean() for each in np.unique(truth)])
    assert found[f"balanced_top_{k}"] == pytest.approx(per_class)


@QUIET
@given(SEEDS)
def test_multiclass_metrics_agree_with_scikit_learn(seed: int) -> None:
    scores, truth = drawn_scores(seed)
    predicted = scores.argmax(axis=1)
    found = multiclass_metrics(scores, truth, 5)
    present = np.unique(truth)
    every = np.arange(scores.shape[1])
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, predicted))
    assert found["f1_micro"] == pytest.approx(found["accuracy"])
    about = {"average": "macro", "zero_division": 0}
    assert found["f1_macro"] == pytest.approx(sk.f1_score(truth, predicted, labels=present, **about))
    assert found["f1_macro_all"] == pytest.approx(sk.f1_score(truth, predicted, labels=every, **about))
    weighted = sk.f1_score(truth, predicted, labels=every, average="weighted", zero_division=0)
    assert found["f1_weighted"] == pytest.approx(weighted)
    assert found["precision_macro"] == pytest.approx(sk.precision_score(truth, predicted, labels=present, **about))
    assert found["recall_macro"] == pytest.approx(sk.recall_score(truth, predicted, labels=present, **about))
    assert found["balanced_top_1"] == pytest.approx(found["recall_macro"])
    # Each row is one yes or no for every class: a hit has them all right, a miss has two of them wrong.
    against_rest = np.equal.outer(truth, every) == np.equal.outer(predicted, every)
    assert found["ovr_accuracy"] == pytest.approx(against_rest.mean())
    others = {"f1_macro", "f1_macro_all", "f1_micro", "f1_weighted", "precision_macro", "recall_macro", "accuracy"}
    others |= {"ovr_accuracy", "balanced_top_1", "top_5", "balanced_top_5"}  # the last two: see above
    assert set(found) == others | ({"precision", "recall", "f1"} if scores.shape[1] == 2 else set())


@QUIET
@given(SEEDS)
def test_of_two_classes_the_second_is_the_positive_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, 3, size=(rng.integers(1, 12), 2)) / 2).astype(np.float32)
    truth = rng.integers(0, 2, len(scores)) * rng.integers(0, 2)  # in half of the cases nothing is positive
    found, predicted = multiclass_metrics(scores, truth, 1), scores[:, 1] > scores[:, 0]
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        assert found[name] == pytest.approx(function(truth, predicted, pos_label=1, zero_division=0))


@QUIET
@given(SEEDS)
def test_regression_metrics_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rng.integers(2, 30)) * 10
    values = (truth + rng.normal(size=len(truth))).astype(np.float32)
    found = regression_metrics(values, truth)
    assert found == {
        "mse": pytest.approx(sk.mean_squared_error(truth, values)),
        "rmse": pytest.approx(sk.root_mean_squared_error(truth, values)),
        "mae": pytest.approx(sk.mean_absolute_error(truth, values)),
        "r2": pytest.approx(sk.r2_score(truth, values)),
    }


def test_a_single_row_has_errors_and_nothing_to_explain() -> None:
    assert regression_metrics(np.float32([1.0]), np.array([3.0])) == {"mse": 4.0, "rmse": 2.0, "mae": 2.0, "r2": 0.0}


def test_equal_targets_leave_nothing_to_explain() -> None:
    assert regression_metrics(np.float32([1, 3]), np.array([2.0, 2.0])) == {
        "mse": 1.0,
        "rmse": 1.0,
        "mae": 1.0,
        "r2": 0.0,
    }


def test_a_score_that_reaches_the_threshold_counts() -> None:
    shares = np.float32([[0.7, 0.69, 0.71]])  # 0.7 in float32 is a little less than 0.7 in float64
    assert decide(shares, 0.7, "none").tolist() == [[True, False, True]]
    assert decide(np.float32([[0.5, 0.49]]), 0.5, "none").tolist() == [[True, False]]


def test_a_row_below_the_threshold_predicts_nothing_or_its_best_label() -> None:
    scores = np.float32([[0.1, 0.4, 0.4], [0.9, 0.1, 0.6]])
    assert decide(scores, 0.5, "none").tolist() == [[False] * 3, [True, False, True]]
    assert decide(scores, 0.5, "argmax").tolist() == [[False, True, False], [True, False, True]]


def test_precision_and_recall_are_not_exchanged() -> None:
    family = f1_family(ClassCounts.of(bits("1", "1", "1", "0"), bits("1", "0", "0", "0")))
    assert (family["precision_macro"], family["recall_macro"]) == (1.0, pytest.approx(1 / 3))


FICTION_OF_TRAIN, FICTION_OF_TEST = 3188 - 637, 637
NOBODY = LabelledRows(np.zeros((0, 1), np.float32), np.zeros(0, np.int64))


def test_dummy_on_the_published_counts_is_as_good_as_the_published_systems() -> None:
    train = np.repeat([1, 0], [FICTION_OF_TRAIN, 4000 - FICTION_OF_TRAIN])
    truth = np.repeat([1, 0], [FICTION_OF_TEST, 1000 - FICTION_OF_TEST])
    model = build_head("dummy", 1, HEADS["dummy"].options(), Problem("multiclass", 2, 0))
    model.fit(LabelledRows(np.zeros((4000, 1), np.float32), train), NOBODY)
    found = multiclass_metrics(model.scores(np.zeros((1000, 1), np.float32)), truth, 5)
    assert round(found["f1"], 6) == 0.778253
    assert (found["accuracy"], found["precision"], found["recall"]) == (0.637, 0.637, 1.0)


@pytest.mark.parametrize(
    ("confusion", "accuracy", "precision", "recall", "f1"),
    [
        ((631, 339, 6, 24), 0.655, 0.6505, 0.9906, 0.785314),
        ((508, 185, 129, 178), 0.686, 0.7330, 0.7975, 0.763910),
        ((510, 173, 127, 190), 0.700, 0.7467, 0.8006, 0.772727),
        ((637, 363, 0, 0), 0.637, 0.637, 1.0, 0.778253),
        ((635, 362, 2, 1), 0.636, 0.6369, 0.9969, 0.777234),
        ((573, 269, 64, 94), 0.667, 0.6805, 0.8995, 0.774848),
    ],
)
def test_the_published_confusions(
    confusion: tuple[int, int, int, int], accuracy: float, precision: float, recall: float, f1: float
) -> None:
    truth, predicted = np.repeat([1, 0, 1, 0], confusion), np.repeat([1, 1, 0, 0], confusion)
    found = multiclass_metrics(one_hot(predicted, 2).astype(np.float32), truth, 5)
    assert found["accuracy"] == accuracy
    assert (round(found["precision"], 4), round(found["recall"], 4)) == (precision, recall)
    assert round(found["f1"], 6) == f1
    assert found["f1"] == pytest.approx(sk.f1_score(truth, predicted))


def test_nothing_positive_scores_zero_and_more_classes_have_no_positive_one() -> None:
    found = multiclass_metrics(np.float32([[1, 0], [1, 0]]), np.array([0, 0]), 1)
    assert (found["precision"], found["recall"], found["f1"]) == (0, 0, 0)
    assert {"precision", "recall", "f1"}.isdisjoint(multiclass_metrics(np.eye(3, dtype=np.float32), np.arange(3), 1))


def test_the_best_constant_costs_the_variance_of_the_ratings() -> None:
    ratings = np.random.default_rng(0).normal(3.9, 0.4, 1000).clip(0, 5)
    model = build_head("dummy", 1, HEADS["dummy"].options(), Problem("regression", 1, 0))
    model.fit(LabelledRows(np.zeros((1000, 1), np.float32), ratings[:, None].astype(np.float32)), NOBODY)
    found = regression_metrics(model.scores(np.zeros((1000, 1), np.float32))[:, 0], ratings)
    assert found["mse"] == pytest.approx(ratings.var(), rel=1e-5)
    assert found["r2"] == pytest.approx(0, abs=1e-5)
