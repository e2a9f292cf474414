"""The exact search against that of a well-kept index library, at the sizes of a real gallery."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from stages.heads.tiers import Tiers, nearest_in_tiers

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
