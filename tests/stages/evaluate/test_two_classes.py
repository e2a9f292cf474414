"""Two classes, the second positive: the published figures of Goodreads, and what the constant classifier reaches."""

import numpy as np
import pytest
from sklearn import metrics as sk

from stages.evaluate.metrics import multiclass_metrics, one_hot, regression_metrics
from stages.heads.catalog import HEADS, build_head
from stages.heads.model import Problem, Rows

FICTION_OF_TRAIN, FICTION_OF_TEST = 3188 - 637, 637
NOBODY = Rows(np.zeros((0, 1), np.float32), np.zeros(0, np.int64))


def test_dummy_on_the_published_counts_is_as_good_as_the_published_systems() -> None:
    train = np.repeat([1, 0], [FICTION_OF_TRAIN, 4000 - FICTION_OF_TRAIN])
    truth = np.repeat([1, 0], [FICTION_OF_TEST, 1000 - FICTION_OF_TEST])
    model = build_head("dummy", 1, HEADS["dummy"].options(), Problem("multiclass", 2, 0))
    model.fit(Rows(np.zeros((4000, 1), np.float32), train), NOBODY)
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
    model.fit(Rows(np.zeros((1000, 1), np.float32), ratings[:, None].astype(np.float32)), NOBODY)
    found = regression_metrics(model.scores(np.zeros((1000, 1), np.float32))[:, 0], ratings)
    assert found["mse"] == pytest.approx(ratings.var(), rel=1e-5)
    assert found["r2"] == pytest.approx(0, abs=1e-5)
