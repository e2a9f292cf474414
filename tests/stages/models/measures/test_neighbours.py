"""The search is exact: it agrees with scikit-learn and with a brute force in exact integers, whatever the chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from stages.models.measures import neighbours
from stages.models.measures.neighbours import Neighbours, nearest, ranks_of

SMALL = settings(max_examples=60, deadline=None, derandomize=True)


def brute_force(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    squared = ((queries[:, None, :].astype(object) - gallery[None, :, :].astype(object)) ** 2).sum(axis=2)
    return np.array([sorted(range(len(gallery)), key=lambda column: (row[column], column))[:k] for row in squared])


@contextmanager
def held(queries: int, gallery: int) -> Iterator[None]:
    """Hold so few rows at once; a fixture would be one for all examples of a property."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_QUERIES", queries)
        patch.setattr(neighbours, "_GALLERY", gallery)
        yield


@st.composite
def integer_problem(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    width = draw(st.integers(1, 4))
    span = draw(st.sampled_from([1, 3, 1000]))
    vectors = st.lists(st.integers(-span, span), min_size=width, max_size=width)
    queries = draw(st.lists(vectors, min_size=1, max_size=9))
    gallery = draw(st.lists(vectors, min_size=1, max_size=20))
    return np.array(queries), np.array(gallery), draw(st.integers(1, len(gallery)))


@SMALL
@given(integer_problem(), st.integers(1, 7), st.integers(1, 7))
def test_order_and_ties_equal_exact_arithmetic(
    problem: tuple[np.ndarray, np.ndarray, int], query_rows: int, gallery_rows: int
) -> None:
    queries, gallery, k = problem
    with held(query_rows, gallery_rows):
        found = nearest(queries, gallery, k)
    np.testing.assert_array_equal(found.indices, brute_force(queries, gallery, k))


@SMALL
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 30), st.floats(-3, 3))
def test_distances_equal_scikit_learn(seed: int, rows: int, width: int, exponent: float) -> None:
    rng = np.random.default_rng(seed)
    gallery = rng.normal(size=(rows, width)) * 10.0**exponent
    queries = rng.normal(size=(5, width)) * 10.0**exponent
    k = int(rng.integers(1, rows + 1))
    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(gallery).kneighbors(queries)
    with held(2, 7):
        found = nearest(queries, gallery, k)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)
    np.testing.assert_array_equal(found.indices, indices)


def test_hundreds_of_equal_vectors_far_from_the_origin_keep_the_order_of_the_rows() -> None:
    # Here |q|^2 - 2 q.g + |g|^2 loses every digit of the distance: only measuring again tells the rows apart.
    rng = np.random.default_rng(0)
    centre = rng.normal(size=64) * 1e6
    gallery = np.repeat(centre[None], 300, axis=0)
    gallery[250] += 1e-6
    query = gallery[250:251] + 1e-7
    with held(1, 90):
        found = nearest(query, gallery, 40)
    assert found.indices[0].tolist() == [250, *range(39)]


def test_a_gallery_that_asks_itself_finds_each_item_first_at_distance_zero() -> None:
    vectors = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    with held(7, 11):
        found = nearest(vectors, vectors, 5)
    assert found.indices[:, 0].tolist() == list(range(50))
    assert (found.distances[:, 0] == 0).all()
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_on_unit_vectors_the_order_is_that_of_the_cosine() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(80, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = nearest(vectors[:10], vectors[10:], 70)
    np.testing.assert_array_equal(found.indices, np.argsort(-(vectors[:10] @ vectors[10:].T), axis=1))
    cosine = np.take_along_axis(vectors[:10] @ vectors[10:].T, found.indices, axis=1)
    np.testing.assert_allclose(found.squared, 2 - 2 * cosine, atol=1e-12)


def test_pairs_that_are_not_allowed_are_never_found_and_gaps_are_marked() -> None:
    gallery = np.arange(6.0)[:, None]
    found = nearest(
        gallery[:2],
        gallery,
        4,
        lambda rows, columns: np.repeat(np.arange(6)[None, columns] >= 3, len(range(2)[rows]), 0),
    )
    assert found.indices.tolist() == [[3, 4, 5, -1], [3, 4, 5, -1]]
    assert np.isinf(found.squared[:, 3]).all()


@SMALL
@given(integer_problem(), st.integers(0, 100))
def test_the_place_of_a_target_is_its_place_in_the_full_order(
    problem: tuple[np.ndarray, np.ndarray, int], seed: int
) -> None:
    queries, gallery, _ = problem
    order = brute_force(queries, gallery, len(gallery))
    wanted = np.random.default_rng(seed).integers(0, len(gallery), len(queries))
    squared = ((queries - gallery[wanted]) ** 2).sum(axis=1).astype(float)
    with held(3, 4):
        places = ranks_of(Neighbours(wanted[:, None], squared[:, None]), queries, gallery)
    assert places.tolist() == [row.tolist().index(item) + 1 for row, item in zip(order, wanted, strict=True)]


def test_a_query_without_a_target_has_place_zero() -> None:
    nothing = Neighbours(np.array([[-1]]), np.array([[np.inf]]))
    assert ranks_of(nothing, np.zeros((1, 2)), np.ones((3, 2))).tolist() == [0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_stored_types_are_measured_in_double_precision(dtype: type) -> None:
    gallery = np.array([[1.0, 0.0], [1.0, 0.001]], dtype=dtype)
    found = nearest(np.array([[1.0, 0.0004]]), gallery, 2)
    assert found.indices.tolist() == [[0, 1]]
    assert found.squared.dtype == np.float64
