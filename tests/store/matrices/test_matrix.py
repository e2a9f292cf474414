"""The matrix, in both formats: what is written is read, by us and by any tool, fast and never wrongly."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from store import InvalidVectors, MatrixBlock, MatrixHeader, open_matrix, write_matrix

DIM = 5
FORMATS = (".zarr.zip", ".h5")


def make(n: int, dim: int = DIM, dtype: str = "float16", seed: int = 0):
    """A header, one block of all rows, and the rows that must be read."""
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((n, dim)).astype(dtype)
    present, ok = generator.random(n) > 0.2, generator.random(n) > 0.2
    missing = np.linspace(0, 1, dim)
    vectors[~(present & ok)] = np.nan
    header = MatrixHeader([f"item-{i}-é" for i in range(n)], dim, dtype, missing, {"fingerprint": "ab", "x": [1, {}]})
    expected = np.where((present & ok)[:, None], vectors, missing.astype(dtype))
    return header, MatrixBlock(vectors, present, ok), expected


def cut(block: MatrixBlock, sizes) -> list[MatrixBlock]:
    stops = np.cumsum(sizes)
    parts = [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
    return [MatrixBlock(block.vectors[part], block.present[part], block.ok[part]) for part in parts]


def write(path, header, blocks, **options):
    return write_matrix(path, header, blocks, durability="none", **options)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(0, 30), dim=st.integers(1, 40), chunk_rows=st.integers(1, 12))
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_matrix_comes_back(tmp_path_factory, data, n, dim, chunk_rows, suffix):
    dtype = data.draw(st.sampled_from(["float16", "float32"]))
    header, block, expected = make(n, dim, dtype, seed=n * 100 + dim)
    stops = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))
    sizes = np.diff([0, *stops, n])
    path = tmp_path_factory.mktemp("m") / f"matrix{suffix}"
    info = write(path, header, cut(block, sizes), chunk_rows=chunk_rows)
    matrix = open_matrix(path)
    assert (info.rows, info.dim, info.dtype, info.digest) == (len(matrix), matrix.dim, matrix.dtype, matrix.digest)
    assert matrix.ids == list(header.ids)
    np.testing.assert_array_equal(matrix.block(0, n), expected)
    np.testing.assert_array_equal(matrix.present, block.present)
    np.testing.assert_array_equal(matrix.ok, block.ok)
    np.testing.assert_array_equal(matrix.usable, block.present & block.ok)
    rows = np.array(data.draw(st.lists(st.integers(0, max(0, n - 1)), max_size=20 if n else 0)), dtype=np.int64)
    np.testing.assert_array_equal(matrix.rows(rows), expected[rows])
    size = data.draw(st.integers(1, 40))
    blocks = list(matrix.iter_blocks(size))
    assert [len(b) for b in blocks] == [min(size, n - start) for start in range(0, n, size)]
    np.testing.assert_array_equal(np.concatenate([*blocks, expected[:0]]), expected)


def test_attributes_are_the_callers_and_ours(matrix_path):
    header, block, _ = make(3)
    info = write(matrix_path, header, [block])
    matrix = open_matrix(matrix_path)
    assert matrix.attributes["fingerprint"] == "ab"
    assert matrix.attributes["x"] == [1, {}]
    assert matrix.attributes["complete"] is True
    assert matrix.attributes["rows"] == 3
    assert matrix.attributes["digest"] == info.digest
    assert len(matrix.attributes["block_digests"]) == 1
    assert matrix.missing_vector.dtype == np.float32
    assert matrix.path == matrix_path


def test_the_bytes_depend_on_the_content_alone(matrix_path, monkeypatch):
    header, block, _ = make(100)
    write(matrix_path, header, [block], chunk_rows=30)
    first = matrix_path.read_bytes()
    later = time.time() + 100_000
    monkeypatch.setattr("time.time", lambda: later)
    write(matrix_path, header, cut(block, [1, 98, 1]), chunk_rows=30)
    assert matrix_path.read_bytes() == first


def test_the_digest_is_that_of_the_content_in_either_format(tmp_path):
    n = 20_000  # three blocks of digests
    header, block, _ = make(n, 1)
    digests = {
        write(tmp_path / f"m{rows}{suffix}", header, cut(block, sizes), chunk_rows=rows).digest
        for suffix, rows, sizes in ((".h5", 8192, [n]), (".zarr.zip", 8192, [1, n - 1]), (".zarr.zip", 999, [5000] * 4))
    }
    assert len(digests) == 1
    other = MatrixBlock(block.vectors, block.present, block.ok.copy())
    other.ok[0] = not other.ok[0]
    renamed = MatrixHeader(["new", *header.ids[1:]], 1, "float16", header.missing_vector)
    missing = MatrixHeader(header.ids, 1, "float16", header.missing_vector + 1)
    noted = MatrixHeader(header.ids, 1, "float16", header.missing_vector, {"note": "not content"})
    fine = MatrixBlock(np.nan_to_num(block.vectors), block.present, other.ok)
    for changed, changed_block in ((header, fine), (renamed, block), (missing, block)):
        assert write(tmp_path / "other.h5", changed, [changed_block]).digest not in digests
    assert write(tmp_path / "other.h5", noted, [block]).digest in digests


def test_the_digest_never_changes(tmp_path):
    header = MatrixHeader(["a", "é"], 2, "float16", np.zeros(2))
    block = MatrixBlock(np.array([[1, 2], [3, 4]], "f2"), np.ones(2, bool), np.ones(2, bool))
    expected = "44d9cfa6446b78a6c839689377f03abcc2a8e3c683a1fe6c2a515d7cefb749a8"
    assert write(tmp_path / "m.h5", header, [block]).digest == expected


def test_zarr_itself_reads_it(tmp_path):
    header, block, expected = make(50)
    write(tmp_path / "m.zarr.zip", header, [block], chunk_rows=9)
    with zarr.storage.ZipStore(tmp_path / "m.zarr.zip", mode="r") as archive:
        group = zarr.open_group(archive, mode="r")
        np.testing.assert_array_equal(group["vectors"][:], expected)
        np.testing.assert_array_equal(group["ok"][:], block.ok)
        assert bytes(group["ids_utf8"][:]).decode() == "".join(header.ids)
        assert group["ids_offsets"][-1] == len("".join(header.ids).encode())
        assert group.attrs["complete"] is True


def test_h5py_itself_reads_it(tmp_path):
    header, block, expected = make(50)
    info = write(tmp_path / "m.h5", header, [block])
    with h5py.File(tmp_path / "m.h5", "r") as file:
        np.testing.assert_array_equal(file["vectors"][:], expected)
        np.testing.assert_array_equal(file["ok"][:], block.ok)
        assert file["ids_utf8"][:].tobytes().decode() == "".join(header.ids)
        assert file.attrs["digest"].decode() == info.digest
        assert file.attrs["complete"]


def test_chunks_of_a_zarr_matrix_are_one_aligned_view(tmp_path):
    header, block, _ = make(1100, 3)
    write(tmp_path / "m.zarr.zip", header, [block], chunk_rows=1)
    view = open_matrix(tmp_path / "m.zarr.zip")._vectors.chunks
    assert view.shape == (1100, 1, 3)
    assert view.strides[0] % 64 == 0
    assert view.ctypes.data % 64 == 0
    assert not view.flags.owndata


def test_chunks_beyond_four_gigabytes_are_found(tmp_path, monkeypatch):
    # From this offset on, the zip's directory needs its 64-bit form; the chunks themselves stay where they belong.
    monkeypatch.setattr("zipfile.ZIP64_LIMIT", 3000)
    header, block, expected = make(100)
    write(tmp_path / "m.zarr.zip", header, [block], chunk_rows=3)
    assert b"PK\x06\x06" in (tmp_path / "m.zarr.zip").read_bytes()
    np.testing.assert_array_equal(open_matrix(tmp_path / "m.zarr.zip").block(0, 100), expected)
    with zarr.storage.ZipStore(tmp_path / "m.zarr.zip", mode="r") as archive:
        np.testing.assert_array_equal(zarr.open_group(archive, mode="r")["vectors"][:], expected)


def test_one_row_more_than_a_chunk_does_not_double_the_file(tmp_path):
    header, block, _ = make(101, 500)
    write(tmp_path / "m.zarr.zip", header, [block], chunk_rows=100)
    assert (tmp_path / "m.zarr.zip").stat().st_size < 1.2 * block.vectors.nbytes


@pytest.mark.parametrize(
    "wrong", [[-1], [10], [0, 11], np.array([True] * 10), [0.5], [[0, 1]], np.array([2**63], "u8")]
)
def test_rows_that_are_not_there_are_an_error(matrix_path, wrong):
    header, block, _ = make(10)
    write(matrix_path, header, [block])
    matrix = open_matrix(matrix_path)
    with pytest.raises(IndexError, match="expected row numbers"):
        matrix.rows(np.asarray(wrong))
    assert matrix.rows(np.array([], dtype=int)).shape == (0, DIM)
    assert matrix.rows(np.array([9], dtype=np.uint8)).shape == (1, DIM)


def test_blocks_that_are_not_there_are_an_error(matrix_path):
    header, block, _ = make(10)
    write(matrix_path, header, [block])
    matrix = open_matrix(matrix_path)
    for start, stop in ((-1, 3), (3, 2), (0, 11)):
        with pytest.raises(IndexError, match="clip them"):
            matrix.block(start, stop)
    with pytest.raises(ValueError, match="positive block size"):
        next(matrix.iter_blocks(0))


def test_gathered_rows_are_a_copy(matrix_path):
    header, block, expected = make(10)
    write(matrix_path, header, [block])
    matrix = open_matrix(matrix_path)
    matrix.rows(np.arange(3))[:] = 7
    matrix.block(0, 3)[:] = 7
    np.testing.assert_array_equal(matrix.block(0, 10), expected)


def test_slices_are_numpys(matrix_path):
    header, block, expected = make(30)
    write(matrix_path, header, [block], chunk_rows=7)
    matrix = open_matrix(matrix_path)
    for stops in ((None,), (3, 9), (-5, None), (9, 3), (0, 5000), (1, 9, 3), (9, 1, -2)):
        np.testing.assert_array_equal(matrix[slice(*stops)], expected[slice(*stops)])
    for wrong in (3, np.arange(3), (slice(3), slice(2))):
        with pytest.raises(TypeError, match=r"expected a slice.*Matrix\.rows"):
            matrix[wrong]


def test_a_link_to_a_matrix_is_followed(matrix_path):
    # DVC can be set to link its cache into the work tree.
    header, block, expected = make(10)
    write(matrix_path, header, [block])
    link = matrix_path.with_name(f"link-{matrix_path.name}")
    link.symlink_to(matrix_path)
    np.testing.assert_array_equal(open_matrix(link).block(0, 10), expected)


# What may be written


def replaced(block: MatrixBlock, **fields) -> MatrixBlock:
    return MatrixBlock(**({"vectors": block.vectors, "present": block.present, "ok": block.ok} | fields))


def test_a_usable_row_must_be_finite(matrix_path):
    header, block, _ = make(10)
    everything = replaced(block, present=np.ones(10, bool), ok=np.ones(10, bool))
    first = int(np.flatnonzero(np.isnan(block.vectors).any(axis=1))[0])
    with pytest.raises(InvalidVectors, match=f"id 'item-{first}-é'"):
        write(matrix_path, header, cut(everything, [1] * 10))
    assert list(matrix_path.parent.iterdir()) == []


def test_blocks_must_fit_the_header(matrix_path):
    header, block, _ = make(10)
    wrong = {
        "found 9": cut(block, [9]),
        "found more": [block, *cut(block, [1])],
        "float32": [replaced(block, vectors=block.vectors.astype("f4"))],
        "int64": [replaced(block, ok=block.ok.astype(int))],
        r"\(10, 4\)": [replaced(block, vectors=block.vectors[:, :4])],
        r"\(9,\)": [replaced(block, ok=block.ok[:9])],
    }
    for message, blocks in wrong.items():
        with pytest.raises(InvalidVectors, match=message):
            write(matrix_path, header, blocks)
    assert list(matrix_path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ids": ["a", "b", "a"]}, "'a' twice"),
        ({"ids": ["a", 1, "b"]}, "found 1 at row 1"),
        ({"ids": ["a", "\ud800", "b"]}, "at row 1"),
        ({"dim": 0}, "positive dimension"),
        ({"dtype": "float64"}, "float16 or float32 or uint8"),
        ({"missing_vector": np.zeros(4)}, "missing vector of 5"),
        ({"missing_vector": np.full(5, np.nan)}, "finite"),
        ({"attributes": {"digest": "x"}}, "found digest"),
    ],
)
def test_the_header_must_be_sound(matrix_path, fields, message):
    fields = {"ids": ["a", "b", "c"], "dim": 5, "dtype": "float16", "missing_vector": np.zeros(5)} | fields
    with pytest.raises(InvalidVectors, match=message):
        write(matrix_path, MatrixHeader(**fields), [])
    assert list(matrix_path.parent.iterdir()) == []


def test_attributes_must_be_plain_and_names_known(tmp_path, matrix_path):
    header = MatrixHeader([], 1, "float16", np.zeros(1), {"x": (1, 2)})
    with pytest.raises(TypeError):
        write(matrix_path, header, [])
    for name in ("m.npy", "m.zarr"):
        with pytest.raises(ValueError, match="rename it"):
            write(tmp_path / name, header, [])
        with pytest.raises(ValueError, match="rename it"):
            open_matrix(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_ids_may_be_empty_or_odd_text(matrix_path):
    ids = ["", "a\0b", "\n", "${x}", "=cmd()", "日本", "1", "01"]
    header = MatrixHeader(ids, 1, "float32", np.zeros(1))
    write(matrix_path, header, [MatrixBlock(np.ones((8, 1), "f4"), np.ones(8, bool), np.ones(8, bool))])
    assert open_matrix(matrix_path).ids == ids


def test_large_attributes_are_kept(matrix_path):
    header = MatrixHeader([], 1, "float32", np.zeros(1), {"segments": ["x" * 100] * 2000})
    write(matrix_path, header, [])
    assert len(open_matrix(matrix_path).attributes["segments"]) == 2000
