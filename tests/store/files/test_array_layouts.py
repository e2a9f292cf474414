"""The store's files follow the numbers of an array, not how they lie in memory; what it cannot take it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from store import MatrixArray, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from store.features.index import KeyTable
from store.matrices.digest import ArrayDigest
from store.segments.segment import build_segment, row_digests
from tests.rules.layouts import LAYOUTS, laid_out

N, DIM = 30, 6


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", [".zarr.zip", ".h5"])
def test_a_matrix(tmp_path, layout, suffix):
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(N, DIM)).astype(np.float32)
    tokens = draw.normal(size=(N, 3, 4)).astype(np.float16)
    masks = np.arange(N) % 7 > 0, np.arange(N) % 5 > 0
    arrays = [MatrixArray("tokens", (3, 4), "float16"), MatrixArray("token_mask", (3,), "bool")]
    mask = np.arange(N * 3).reshape(N, 3) % 2 > 0

    def write(name, lay):
        header = MatrixHeader([str(i) for i in range(N)], DIM, "float32", lay(np.zeros(DIM)), {}, arrays)
        block = MatrixBlock(lay(vectors), *map(lay, masks), {"tokens": lay(tokens), "token_mask": lay(mask)})
        write_matrix(tmp_path / f"{name}{suffix}", header, [block], durability="none", chunk_rows=8)
        return (tmp_path / f"{name}{suffix}").read_bytes()

    assert write("other", lambda values: laid_out(values, layout)) == write("plain", np.ascontiguousarray)
    found, usable = open_matrix(tmp_path / f"other{suffix}"), masks[0] & masks[1]
    np.testing.assert_array_equal(found.block(0, N)[usable], vectors[usable])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_segment_and_its_keys(segment, segment_format, layout):
    vectors = laid_out(segment.vectors, layout)
    others = {"keys": laid_out(segment.keys, layout), "row_digests": laid_out(row_digests(vectors), layout)}
    other = replace(segment, vectors=vectors, **others)
    assert build_segment(segment_format, other) == build_segment(segment_format, segment)
    tables = [KeyTable.of(each.keys, each.row_digests).to_bytes("a name") for each in (segment, other)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_digests_of_an_array(layout):
    values = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
    plain, other = ArrayDigest(), ArrayDigest()
    plain.update(values)
    other.update(laid_out(values, layout))
    assert other.finish() == plain.finish()
