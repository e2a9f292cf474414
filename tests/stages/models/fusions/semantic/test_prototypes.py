"""docs/systems/fusions.md#category-queries: prototypes of train rows alone, and what is ranked by them."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from stages.models.encoders.artefact import ids_digest
from stages.models.fusions.semantic.prototypes import learn_prototypes, rank_within, unit

RNG = np.random.default_rng(9)
COUNT = 40
IDS = [f"item-{number}" for number in range(COUNT)]
VECTORS = RNG.normal(size=(COUNT, 6)).astype(np.float32)
CATEGORIES = np.arange(COUNT) % 4
PARTS = np.array(["train", "train", "test", "train", "dev"])[np.arange(COUNT) // 8]
TRAIN = np.flatnonzero(PARTS == "train")


def test_a_prototype_is_the_mean_of_its_train_rows_at_length_1() -> None:
    found = learn_prototypes(IDS, VECTORS * 7, CATEGORIES, PARTS)
    assert found.categories.tolist() == [0, 1, 2, 3]
    assert found.means.dtype == np.float32
    for category in range(4):
        rows = TRAIN[CATEGORIES[TRAIN] == category]
        each = VECTORS[rows] / np.linalg.norm(VECTORS[rows], axis=1, keepdims=True)
        np.testing.assert_allclose(found.means[category], each.mean(axis=0), atol=1e-6)


def test_no_row_but_those_of_train_is_read_and_the_digest_tells_which() -> None:
    found = learn_prototypes(IDS, VECTORS, CATEGORIES, PARTS)
    others = PARTS != "train"
    wild, lies = VECTORS.copy(), CATEGORIES.copy()
    wild[others], lies[others] = np.nan, 77
    again = learn_prototypes(IDS, wild, lies, PARTS)
    assert again.means.tobytes() == found.means.tobytes()
    assert again.categories.tolist() == found.categories.tolist()
    assert again.digest == found.digest == ids_digest(IDS[row] for row in TRAIN)
    changed = PARTS.copy()
    changed[-1] = "train"
    assert learn_prototypes(IDS, VECTORS, CATEGORIES, changed).digest != found.digest


def test_rows_without_a_category_make_no_prototype() -> None:
    unlabelled = np.where(CATEGORIES == 2, -1, CATEGORIES)
    assert learn_prototypes(IDS, VECTORS, unlabelled, PARTS).categories.tolist() == [0, 1, 3]


def test_a_query_moves_towards_the_prototype_of_its_predicted_category() -> None:
    found = learn_prototypes(IDS, VECTORS, CATEGORIES, PARTS)
    asked, predicted = VECTORS[:3] * 5, np.array([3, 0, 3])
    queries = found.queries(asked, predicted)
    np.testing.assert_allclose(queries, unit(VECTORS[:3]) + 0.5 * found.means[predicted], atol=1e-6)
    assert queries.dtype == np.float32


@pytest.mark.parametrize("k", [3, 99])
def test_beta_0_is_plain_cosine_ranking(k: int) -> None:
    found = learn_prototypes(IDS, VECTORS, CATEGORIES, PARTS)
    predicted = CATEGORIES[::-1].copy()
    ranked = rank_within((found.queries(VECTORS, predicted, beta=0.0), predicted), (VECTORS * 3, CATEGORIES), k)
    cosines = unit(VECTORS) @ unit(VECTORS).T
    for row in range(COUNT):
        rows = np.flatnonzero(predicted[row] == CATEGORIES)
        np.testing.assert_array_equal(ranked[row], rows[np.argsort(-cosines[row, rows], kind="stable")][:k])


def test_beta_changes_the_ranking() -> None:
    found = learn_prototypes(IDS, VECTORS, CATEGORIES, PARTS)
    ranked = [
        rank_within((found.queries(VECTORS, CATEGORIES, beta), CATEGORIES), (VECTORS, CATEGORIES), 10)
        for beta in (0.0, 50.0)
    ]
    assert any((one != other).any() for one, other in zip(*ranked, strict=True))
    towards = unit(VECTORS[CATEGORIES == 1]) @ found.means[1]
    assert ranked[1][1][0] == np.flatnonzero(CATEGORIES == 1)[towards.argmax()]


def test_a_category_absent_from_train_falls_back_to_the_vector_itself(caplog: pytest.LogCaptureFixture) -> None:
    absent = np.where(PARTS == "train", 0, CATEGORIES)
    found = learn_prototypes(IDS, VECTORS, absent, PARTS)
    with caplog.at_level(logging.WARNING, "diptych.fusions"):
        queries = found.queries(VECTORS[:3], np.array([5, 0, -1]))
    np.testing.assert_array_equal(queries[[0, 2]], unit(VECTORS[[0, 2]]))
    assert (queries[1] != unit(VECTORS[1:2])[0]).any()
    assert "2 of 3 queries are of a category without train rows: they stay as they are" in caplog.text


def test_known_categories_warn_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    learn_prototypes(IDS, VECTORS, CATEGORIES, PARTS).queries(VECTORS, CATEGORIES)
    assert not caplog.records


def test_without_train_rows_there_is_no_prototype() -> None:
    found = learn_prototypes(IDS, VECTORS, CATEGORIES, np.full(COUNT, "test"))
    assert found.means.shape == (0, 6)
    np.testing.assert_array_equal(found.queries(VECTORS, CATEGORIES), unit(VECTORS))


def test_only_gallery_rows_of_the_same_category_are_found_and_equal_ones_keep_their_order() -> None:
    gallery = np.array([[1, 0], [1, 0], [0, 1], [2, 0]], np.float32), np.array([0, 0, 0, 1])
    queries = np.array([[3, 0], [1, 0], [1, 1]], np.float32), np.array([0, 1, 8])
    assert [rows.tolist() for rows in rank_within(queries, gallery, 5)] == [[0, 1, 2], [3], []]


def test_a_vector_of_zeros_stays() -> None:
    assert unit(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]
