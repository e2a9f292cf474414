"""Matrices are opened only when row i is item i."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages.models.features.opening import open_aligned
from store import CorruptMatrix, open_matrix
from store.errors import InputError


def test_matrices_come_in_the_order_asked_for(dataset: Any) -> None:
    paths = [dataset.matrix("b", np.ones((4, 2))), dataset.matrix("a", np.zeros((4, 3)))]
    assert [matrix.dim for matrix in open_aligned(paths, dataset.ids(4))] == [2, 3]


def test_a_matrix_that_is_not_there_is_named_with_the_remedy(dataset: Any) -> None:
    with pytest.raises(InputError, match=r"expected the matrix .*none.zarr.zip; found no file; run `dvc repro`"):
        open_aligned([dataset.root / "none.zarr.zip"], [])


@pytest.mark.parametrize("ids", [["i000", "i002", "i001"], ["i000", "i001"], ["i000", "i001", "x"]])
def test_other_items_or_another_order_are_refused(dataset: Any, ids: list[str]) -> None:
    path = dataset.matrix("m", np.ones((3, 2)))
    with pytest.raises(InputError, match=rf"expected the {len(ids)} items of the manifest in its order; found 3 items"):
        open_aligned([path], ids)


def test_a_damaged_matrix_is_not_read(dataset: Any) -> None:
    path = dataset.matrix("m", np.ones((300, 40)))
    data = bytearray(path.read_bytes())
    at = data.index(np.ones(4, np.float32).tobytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptMatrix):
        open_aligned([path], dataset.ids(300))


def test_another_matrix_than_the_card_states_is_not_read(dataset: Any) -> None:
    """Case 81: whole, aligned, with digests of its own, and yet not the one that git knows."""
    paths = [dataset.matrix("m", np.ones((3, 2))), dataset.matrix("n", np.zeros((3, 2)))]
    stated = [open_matrix(path).digest for path in paths]
    assert len(open_aligned(paths, dataset.ids(3), stated)) == 2
    forged = dataset.matrix("n", np.full((3, 2), 7.0))
    assert open_matrix(forged).digest != stated[1]
    with pytest.raises(CorruptMatrix, match=rf"n.zarr.zip.*expected the digest {stated[1]}.*`dvc pull`"):
        open_aligned(paths, dataset.ids(3), stated)
