"""Arrays beside the vectors, and vectors of bytes, in both formats: what is written is read, by us and by any tool."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from store import InvalidVectors, MatrixArray, MatrixBlock, MatrixHeader, open_matrix
from tests.store.matrices.samples import ARRAYS, DIM, N, cut, make, write

FORMATS = (".zarr.zip", ".h5")


def assert_reads(matrix, expected) -> None:
    """Every way of reading gives what was written."""
    n = len(expected["vectors"])
    np.testing.assert_array_equal(matrix[:], expected["vectors"])
    assert matrix.arrays == {
        name: (values.shape[1:], values.dtype.name) for name, values in expected.items() if name != "vectors"
    }
    rows = np.random.default_rng(1).integers(0, max(1, n), 30 if n else 0)
    for name in matrix.arrays:
        values = expected[name]
        for part in (slice(None), slice(3, 9), slice(-5, None), slice(9, 3), slice(0, 5000), slice(9, 1, -2), rows):
            found = matrix.read_array(name, part)
            assert found.dtype == values.dtype
            np.testing.assert_array_equal(found, values[part])
        for size in (None, 1, 7, 5000):
            blocks = list(matrix.iter_array(name, size))
            np.testing.assert_array_equal(np.concatenate([*blocks, values[:0]]), values)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), n=st.integers(0, 30), chunk_rows=st.integers(1, 12))
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_matrix_comes_back(tmp_path_factory, data, n, chunk_rows, suffix):
    names = data.draw(st.sampled_from([("tokens", "token_mask"), ("map",), ("regions", "region_mask"), ()]))
    arrays = []
    length = data.draw(st.integers(1, 5))
    for array in ARRAYS:
        if array.name in names:
            inner = tuple(data.draw(st.integers(1, 5)) for _ in array.shape[1:])
            dtype = "bool" if array.dtype == "bool" else data.draw(st.sampled_from(["float16", "float32", "uint8"]))
            arrays.append(MatrixArray(array.name, (length, *inner), dtype))
    header, block, expected = make(n, arrays, data.draw(st.sampled_from(["float16", "float32", "uint8"])))
    stops = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))
    path = tmp_path_factory.mktemp("m") / f"matrix{suffix}"
    info = write(path, header, cut(block, np.diff([0, *stops, n])), chunk_rows=chunk_rows)
    matrix = open_matrix(path)
    assert (info.rows, info.dim, info.dtype, info.digest) == (len(matrix), matrix.dim, matrix.dtype, matrix.digest)
    assert_reads(matrix, expected)


def test_each_kind_of_array_at_once(matrix_path):
    header, block, expected = make()
    write(matrix_path, header, [block], chunk_rows=9)
    matrix = open_matrix(matrix_path)
    assert (matrix.attributes["format_version"], matrix.attributes["min_reader"]) == (2, 2)
    assert matrix.arrays["tokens"] == ((4, 3), "float16")
    assert_reads(matrix, expected)


def test_zarr_itself_reads_it(tmp_path):
    header, block, expected = make()
    write(tmp_path / "m.zarr.zip", header, [block], chunk_rows=9)
    with zarr.storage.ZipStore(tmp_path / "m.zarr.zip", mode="r") as archive:
        group = zarr.open_group(archive, mode="r")
        for name, values in expected.items():
            assert group[name].dtype == values.dtype
            np.testing.assert_array_equal(group[name][:], values)


def test_h5py_itself_reads_it(tmp_path):
    header, block, expected = make()
    write(tmp_path / "m.h5", header, [block])
    with h5py.File(tmp_path / "m.h5", "r") as file:
        for name, values in expected.items():
            assert (file[name].dtype, file[name].chunks, file[name].compression) == (values.dtype, None, None)
            np.testing.assert_array_equal(file[name][:], values)


def test_each_array_is_one_aligned_view_of_the_file(matrix_path):
    header, block, _ = make()
    write(matrix_path, header, [block], chunk_rows=9)
    content = open_matrix(matrix_path)._content
    for values in (content.vectors, *content.arrays.values()):
        assert not values.chunks.flags.owndata
        assert values.chunks.ctypes.data % 64 == 0
        assert len(values.chunks) == (1 if matrix_path.suffix == ".h5" else 6)
        assert len(values.chunks) == 1 or values.chunks.strides[0] % 64 == 0


def test_the_bytes_depend_on_the_content_alone(matrix_path):
    header, block, _ = make()
    write(matrix_path, header, [block], chunk_rows=9)
    first = matrix_path.read_bytes()
    turned = dataclasses.replace(header, arrays=tuple(reversed(header.arrays)))
    for other in (header, turned):
        parts = cut(block, [1, 48, 1])
        parts[1] = dataclasses.replace(parts[1], arrays=dict(reversed(parts[1].arrays.items())))
        write(matrix_path, other, parts, chunk_rows=9)
        assert matrix_path.read_bytes() == first


def test_the_digest_is_that_of_the_content_in_either_format(tmp_path):
    n = 20_000  # three blocks of digests
    arrays = [MatrixArray("tokens", (1, 1), "uint8"), MatrixArray("token_mask", (1,), "bool")]
    header, block, _ = make(n, arrays)
    matrices = [
        (write(tmp_path / f"m{rows}{suffix}", header, cut(block, sizes), chunk_rows=rows), f"m{rows}{suffix}")
        for suffix, rows, sizes in ((".h5", 8192, [n]), (".zarr.zip", 8192, [1, n - 1]), (".zarr.zip", 999, [5000] * 4))
    ]
    digests = {info.digest for info, _ in matrices}
    assert len(digests) == 1
    stated = [open_matrix(tmp_path / name).attributes for _, name in matrices]
    assert stated[0] == stated[1] == stated[2]
    assert [len(each["block_digests"]) for each in stated[0]["arrays"].values()] == [3, 3]
    usable = int(np.flatnonzero(block.present & block.ok)[-1])
    for name in ("tokens", "token_mask"):
        changed = dataclasses.replace(block, arrays={each: values.copy() for each, values in block.arrays.items()})
        changed.arrays[name][usable] ^= True
        assert write(tmp_path / "other.h5", header, [changed]).digest not in digests
    bare = dataclasses.replace(header, arrays=())
    assert write(tmp_path / "other.h5", bare, [dataclasses.replace(block, arrays={})]).digest not in digests


def test_the_digest_never_changes(tmp_path):
    arrays = [MatrixArray("tokens", (2, 1), "float16"), MatrixArray("token_mask", (2,), "bool")]
    header = MatrixHeader(["a", "é"], 2, "float16", np.zeros(2), {}, arrays)
    beside = {"tokens": np.array([[[1], [2]], [[3], [0]]], "f2"), "token_mask": np.array([[1, 1], [1, 0]], bool)}
    block = MatrixBlock(np.array([[1, 2], [3, 4]], "f2"), np.ones(2, bool), np.ones(2, bool), beside)
    expected = "ecfa5c59e7cd59ab9327a6375edf098332e3b279f6caa3319616796e2089be7a"
    assert write(tmp_path / "m.h5", header, [block]).digest == expected


def test_a_matrix_without_arrays_is_as_before(matrix_path):
    header, block, _ = make(arrays=())
    write(matrix_path, header, [block])
    matrix = open_matrix(matrix_path)
    assert (matrix.arrays, matrix.attributes["min_reader"]) == ({}, 1)
    assert "arrays" not in matrix.attributes
    with pytest.raises(KeyError, match="found 'tokens'; there are"):
        matrix.read_array("tokens", slice(None))


def test_in_version_1_the_word_was_the_callers(tmp_path, monkeypatch):
    header, block, expected = make(arrays=())
    header = dataclasses.replace(header, attributes={"arrays": ["mine"]})
    with pytest.raises(InvalidVectors, match="found arrays; rename"):
        write(tmp_path / "m.h5", header, [block])
    monkeypatch.setattr("store.matrices.writing.RESERVED", ())
    for suffix in FORMATS:
        write(tmp_path / f"m{suffix}", header, [block])
        matrix = open_matrix(tmp_path / f"m{suffix}")
        assert (matrix.arrays, matrix.attributes["arrays"]) == ({}, ["mine"])
        np.testing.assert_array_equal(matrix[:], expected["vectors"])


def test_wrong_names_and_rows_are_told(matrix_path):
    header, block, _ = make()
    write(matrix_path, header, [block])
    matrix = open_matrix(matrix_path)
    for wrong in ([-1], [N], [0.5], [[0, 1]]):
        with pytest.raises(IndexError, match="expected row numbers"):
            matrix.read_array("map", np.asarray(wrong))
    with pytest.raises(KeyError, match=r"there are .*'map', 'region_mask'"):
        matrix.read_array("vectors", slice(None))
    with pytest.raises(ValueError, match="positive block size"):
        next(matrix.iter_array("map", 0))
    assert matrix.read_array("map", np.array([], dtype=int)).shape == (0, 2, 3, 3)


def test_what_was_read_is_a_copy(matrix_path):
    header, block, expected = make()
    write(matrix_path, header, [block])
    matrix = open_matrix(matrix_path)
    matrix.read_array("map", slice(0, 3))[:] = 7
    matrix.read_array("map", np.arange(3))[:] = 7
    np.testing.assert_array_equal(matrix.read_array("map", slice(None)), expected["map"])


# What may be written


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([MatrixArray("token", (4, 3), "float16")], "found 'token'"),
        ([MatrixArray("map", (2, 3, 3), "float16")] * 2, "'map' twice"),
        ([MatrixArray("map", (2, 3), "float16")], "3 dimensions"),
        ([MatrixArray("map", (2, 0, 3), "float16")], "3 dimensions"),
        ([MatrixArray("map", (2, np.int64(3), 3), "float16")], "3 dimensions"),
        ([MatrixArray("map", (2, 3, 3), "float64")], "found .* in float64"),
        ([MatrixArray("map", (2, 3, 3), "bool")], "found .* in bool"),
        ([MatrixArray("map", (2048, 100, 100), "float32")], "up to 67108864 bytes"),
        ([ARRAYS[0]], "'tokens' and 'token_mask' of one length"),
        ([ARRAYS[1]], "'tokens' and 'token_mask' of one length"),
        ([ARRAYS[0], MatrixArray("token_mask", (5,), "bool")], "of one length, found .*[4, 5]"),
        ([ARRAYS[3], MatrixArray("region_mask", (6,), "uint8")], "found .* in uint8"),
    ],
)
def test_arrays_of_another_kind_are_refused(matrix_path, arrays, message):
    header = MatrixHeader(["a"], 1, "float16", np.zeros(1), {}, arrays)
    with pytest.raises(InvalidVectors, match=message):
        write(matrix_path, header, [])
    assert list(matrix_path.parent.iterdir()) == []


def test_blocks_must_bring_the_arrays_of_the_header(matrix_path):
    header, block, _ = make()
    wrong = {
        "'map' .*found none": {**block.arrays, "map": None},
        "'masks' .*as none": {**block.arrays, "masks": block.arrays["token_mask"]},
        r"'map' .*float32 \[50, 2, 3, 3\], found float16": {**block.arrays, "map": block.arrays["map"].astype("f2")},
        r"found float32 \[49, 2, 3, 3\]": {**block.arrays, "map": block.arrays["map"][:49]},
        r"found float32 \[50, 18\]": {**block.arrays, "map": block.arrays["map"].reshape(N, 18)},
    }
    for message, arrays in wrong.items():
        given = {name: values for name, values in arrays.items() if values is not None}
        with pytest.raises(InvalidVectors, match=message):
            write(matrix_path, header, [dataclasses.replace(block, arrays=given)])
    assert list(matrix_path.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["tokens", "map"])
def test_a_usable_row_must_be_finite_in_every_array(matrix_path, name):
    header, block, _ = make()
    row = int(np.flatnonzero(block.present & block.ok)[3])
    block.arrays[name][row].reshape(-1)[-1] = -np.inf
    with pytest.raises(InvalidVectors, match=f"finite {name} in usable rows, found another for id 'item-{row}'"):
        write(matrix_path, header, cut(block, [10] * 5))
    assert list(matrix_path.parent.iterdir()) == []


def test_memory_holds_some_groups_and_never_an_array(matrix_path, monkeypatch):
    limit = 1 << 20
    for module in ("writing", "arrays"):
        monkeypatch.setattr(f"store.matrices.{module}.GROUP_BYTES", limit)
    n, shape = 1000, (16, 768)
    size = n * math.prod(shape) * 2
    header = MatrixHeader([str(i) for i in range(n)], DIM, "float16", np.zeros(DIM), {}, [
        MatrixArray("tokens", shape, "float16"), MatrixArray("token_mask", shape[:1], "bool")
    ])  # fmt: skip

    def blocks():
        for start in range(0, n, 20):
            tokens = np.full((20, *shape), start, np.float16)
            beside = {"tokens": tokens, "token_mask": np.ones((20, shape[0]), bool)}
            yield MatrixBlock(np.ones((20, DIM), np.float16), np.ones(20, bool), np.ones(20, bool), beside)

    tracemalloc.start()
    try:
        write(matrix_path, header, blocks())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * limit < size / 2
    matrix = open_matrix(matrix_path)
    if matrix_path.suffix == ".zip":
        assert matrix._content.arrays["tokens"].chunks[0].nbytes <= limit
    assert matrix.read_array("tokens", np.array([999]))[0, 0, 0] == 980
