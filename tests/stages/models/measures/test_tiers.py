"""Ranking in tiers agrees with a full sort by (place of the cluster, distance, row), computed in exact integers."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.models.measures.neighbours import Picks, nearest
from stages.models.measures.tiers import Tiers, first_places, nearest_in_tiers

SMALL = settings(max_examples=80, deadline=None, derandomize=True)


class Problem:
    """Integer vectors with many ties, clusters of which some are empty, and pairs that may not be found."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        count, size, clusters, width = (int(rng.integers(1, most)) for most in (8, 25, 6, 4))
        self.queries = rng.integers(-2, 3, (count, width)).astype(float)
        self.gallery = rng.integers(-2, 3, (size, width)).astype(float)
        order = np.array([rng.permutation(clusters) for _ in range(count)])
        self.tiers = Tiers(order, rng.integers(0, clusters, size))
        self.permitted = rng.random((count, size)) < 0.8
        self.wanted = rng.random((count, size)) < 0.1

    def allowed(self, rows: Picks, columns: Picks) -> np.ndarray:
        return self.permitted[rows][:, columns].copy()

    def sought(self, rows: Picks, columns: Picks) -> np.ndarray:
        return (self.permitted & self.wanted)[rows][:, columns].copy()

    def ranking(self, query: int) -> list[int]:
        place = {int(cluster): at for at, cluster in enumerate(self.tiers.order[query])}
        keys = [
            (place[int(self.tiers.clusters[row])], ((vector - self.queries[query]) ** 2).sum(), row)
            for row, vector in enumerate(self.gallery)
            if self.permitted[query, row]
        ]
        return [row for _, _, row in sorted(keys)]


@SMALL
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_the_first_rows_and_their_distances_are_those_of_the_full_ranking(seed: int, k: int) -> None:
    problem = Problem(seed)
    found = nearest_in_tiers(problem.queries, problem.gallery, k, problem.tiers, problem.allowed)
    for query, (rows, squared) in enumerate(zip(found.indices, found.squared, strict=True)):
        expected = problem.ranking(query)[:k]
        assert rows.tolist() == expected + [-1] * (k - len(expected))
        gaps = ((problem.gallery[expected] - problem.queries[query]) ** 2).sum(axis=1)
        np.testing.assert_array_equal(squared, [*gaps, *[np.inf] * (k - len(expected))])


@SMALL
@given(st.integers(0, 10_000))
def test_the_place_of_the_first_wanted_row_is_that_of_the_full_ranking(seed: int) -> None:
    problem = Problem(seed)
    found = first_places(problem.queries, problem.gallery, problem.tiers, problem.sought, problem.allowed)
    for query, place in enumerate(found):
        hits = [problem.wanted[query, row] for row in problem.ranking(query)]
        assert place == (hits.index(True) + 1 if any(hits) else 0)


@SMALL
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_a_single_cluster_is_plain_nearest_neighbours(seed: int, k: int) -> None:
    problem = Problem(seed)
    tiers = Tiers.single(len(problem.queries), len(problem.gallery))
    found = nearest_in_tiers(problem.queries, problem.gallery, k, tiers)
    expected = nearest(problem.queries, problem.gallery, k)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.squared, expected.squared)


K = 20
TWINS = 400


@pytest.mark.parametrize(("rows", "width", "unit"), [(8_000, 384, True), (20_000, 64, False)])
def test_ids_are_those_of_a_flat_index_wherever_float32_can_tell_distances_apart(
    rows: int, width: int, unit: bool
) -> None:
    rng = np.random.default_rng(width)
    # Vectors of few degrees of freedom, as encoders give: in pure noise all distances are nearly the same.
    cloud = rng.normal(size=(rows + 100, 12)) @ rng.normal(size=(12, width))
    cloud += 0.1 * rng.normal(size=cloud.shape)
    cloud = (cloud / (np.linalg.norm(cloud, axis=1, keepdims=True) if unit else 1.0)).astype(np.float32)
    gallery, queries = cloud[:rows], cloud[rows:]
    gallery[-TWINS:] = gallery[:TWINS]
    queries[:20] = gallery[:20]  # so that twins are found: each is in the gallery twice
    flat = faiss.IndexFlatL2(width)
    flat.add(gallery)
    squared, theirs = flat.search(queries, K + 1)
    near = nearest_in_tiers(queries, gallery, K + 1, Tiers.single(len(queries), rows))
    noise = 1e-5 * (gallery.astype(np.float64) ** 2).sum(axis=1).max()
    np.testing.assert_allclose(squared, near.squared, atol=noise)
    gaps = np.diff(near.squared, axis=1)[:, :K]
    apart = (gaps > noise) & (np.column_stack([np.full(len(gaps), np.inf), gaps[:, :-1]]) > noise)
    assert apart.mean() > 0.8
    np.testing.assert_array_equal(near.indices[:, :K][apart], theirs[:, :K][apart])
    same = np.diff(near.squared, axis=1) == 0
    assert same[:20, 0].all()  # a query and its two copies
    assert (np.diff(near.indices, axis=1)[same] > 0).all()
