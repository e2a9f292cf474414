"""However many rows a matrix has, its zip holds no more members than a reader takes."""

from __future__ import annotations

from functools import partial
from zipfile import ZipFile

import numpy as np
import pytest

from store import MatrixBlock, MatrixHeader, open_matrix
from store.files.zarr_documents import MAX_MEMBERS, check_zip_directory
from store.matrices.zarr import most_chunks
from tests.store.matrices.samples import ARRAYS, make, write

MOST = 60


@pytest.mark.parametrize("arrays", [[], ARRAYS[2:3], ARRAYS], ids=len)
@pytest.mark.parametrize("rows", [40, 43, 400, 1000])
def test_rows_beyond_the_members_make_larger_chunks(tmp_path, monkeypatch, arrays, rows) -> None:
    monkeypatch.setattr("store.matrices.writing.most_chunks", partial(most_chunks, members=MOST))
    header, block, expected = make(rows, arrays)
    path = tmp_path / "matrix.zarr.zip"
    digest = write(path, header, [block], chunk_rows=1).digest
    with path.open("rb") as file:
        check_zip_directory(file, MOST)
    matrix = open_matrix(path)
    np.testing.assert_array_equal(matrix[:], expected["vectors"])
    for array in arrays:
        np.testing.assert_array_equal(matrix.read_array(array.name, slice(None)), expected[array.name])
    assert digest == write(tmp_path / "matrix.h5", header, [block]).digest


def test_the_limit_is_used_up_and_the_chunks_asked_for_are_kept_below_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("store.matrices.writing.most_chunks", partial(most_chunks, members=MOST))
    path = tmp_path / "matrix.zarr.zip"
    for rows, members in ((48, MOST), (47, MOST - 1), (49, 12 + 25)):
        header, block, _ = make(rows, [])
        write(path, header, [block], chunk_rows=1)
        with ZipFile(path) as archive:
            assert len(archive.namelist()) == members


@pytest.mark.slow
def test_a_matrix_of_more_chunks_than_members_is_opened(tmp_path) -> None:
    ok = np.ones(MAX_MEMBERS, dtype=bool)
    vectors = np.arange(MAX_MEMBERS, dtype=np.float32)[:, None]
    header = MatrixHeader([str(row) for row in range(MAX_MEMBERS)], 1, "float32", np.zeros(1))
    path = tmp_path / "matrix.zarr.zip"
    write(path, header, [MatrixBlock(vectors, ok, ok)], chunk_rows=1)
    matrix = open_matrix(path)
    np.testing.assert_array_equal(matrix[:], vectors)
