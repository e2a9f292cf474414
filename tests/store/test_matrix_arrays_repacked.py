"""A matrix with arrays beside its vectors that another tool packed anew, or that lies behind a URL."""

from __future__ import annotations

from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec

from store import CorruptMatrix, Matrix, open_matrix
from store import vectors as vectors_module

from .wide import ARRAYS, N, make, write

NAMES = [array.name for array in ARRAYS]
WIDE = {"vectors", *NAMES}
H5_OPTIONS = {
    "chunked": {},
    "shuffle and gzip": {"compression": "gzip", "shuffle": True},
    "fletcher32": {"fletcher32": True},
}
CODECS = {"none": (), "zstd": (ZstdCodec(),), "zstd, then crc32c": (ZstdCodec(), Crc32cCodec()), "gzip": (GzipCodec(),)}


def assert_reads(matrix: Matrix, expected: dict[str, np.ndarray], reader: str) -> None:
    assert matrix.reader == reader
    np.testing.assert_array_equal(matrix[:], expected["vectors"])
    rows = np.random.default_rng(0).integers(0, N, 80)
    for name in NAMES:
        for part in (slice(None), slice(7, 31), slice(30, 7, -3), rows, rows[:0]):
            found = matrix.read_array(name, part)
            assert found.dtype == expected[name].dtype
            np.testing.assert_array_equal(found, expected[name][part])
        np.testing.assert_array_equal(np.concatenate(list(matrix.iter_array(name, 11))), expected[name])


def repack_zarr(source: Path, target: Path, rows: int, codecs) -> None:
    """Copy with the zarr package alone."""
    with zarr.storage.ZipStore(source, mode="r") as old, zarr.storage.ZipStore(target, mode="w") as new:
        given = zarr.open_group(old, mode="r")
        group = zarr.create_group(new, attributes=dict(given.attrs))
        for name, array in given.arrays():
            values = array[:]
            chunks = (rows, *values.shape[1:-1], max(1, values.shape[-1] // 2)) if name in WIDE else values.shape
            made = group.create_array(
                name,
                shape=values.shape,
                chunks=chunks,
                dtype=values.dtype,
                compressors=list(codecs),
                config={"write_empty_chunks": True},
            )
            made[:] = values


def repack_h5(source: Path, target: Path, rows: int, **options) -> None:
    """Copy with h5py alone."""
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:
        for name, dataset in old.items():
            chunks = (min(N, rows), *dataset.shape[1:]) if name in WIDE else dataset.shape
            new.create_dataset(name, data=dataset[:], chunks=chunks, **options)
        for name, value in old.attrs.items():
            new.attrs[name] = value


@pytest.mark.parametrize("codecs", CODECS)
@pytest.mark.parametrize("rows", [1, 7, 500])
def test_a_zarr_matrix_packed_anew_is_read(tmp_path, codecs, rows, monkeypatch):
    monkeypatch.setattr(vectors_module, "_PIECE_BYTES", 300)
    header, block, expected = make()
    write(tmp_path / "m.zarr.zip", header, [block], chunk_rows=9)
    repack_zarr(tmp_path / "m.zarr.zip", tmp_path / "new.zarr.zip", rows, CODECS[codecs])
    assert_reads(open_matrix(tmp_path / "new.zarr.zip"), expected, "zarr")


@pytest.mark.parametrize("options", H5_OPTIONS)
@pytest.mark.parametrize("rows", [1, 7, 500])
def test_an_hdf5_matrix_packed_anew_is_read(tmp_path, options, rows, monkeypatch):
    monkeypatch.setattr(vectors_module, "_PIECE_BYTES", 300)
    header, block, expected = make()
    write(tmp_path / "m.h5", header, [block])
    repack_h5(tmp_path / "m.h5", tmp_path / "new.h5", rows, **H5_OPTIONS[options])
    assert_reads(open_matrix(tmp_path / "new.h5"), expected, "h5py")


@pytest.mark.parametrize("suffix", [".zarr.zip", ".h5"])
@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_a_matrix_behind_a_url_is_read(tmp_path, suffix, dtype):
    header, block, expected = make(dtype=dtype)
    path, url = tmp_path / f"m{suffix}", f"memory://bucket/arrays{suffix}"
    write(path, header, [block], chunk_rows=9)
    files = fsspec.filesystem("memory")
    files.pipe_file(url, path.read_bytes())
    assert_reads(open_matrix(url), expected, "zarr" if suffix == ".zarr.zip" else "h5py")


@pytest.mark.parametrize("format_", ["zarr", "h5"])
def test_values_that_another_tool_changed_are_found(tmp_path, format_):
    header, block, expected = make()
    row = int(np.flatnonzero(block.present & block.ok)[2])
    suffix = "zarr.zip" if format_ == "zarr" else "h5"
    source, target = tmp_path / f"m.{suffix}", tmp_path / f"new.{suffix}"
    digest = write(source, header, [block]).digest
    block.arrays["map"][row, 0, 0, 0] += 1
    other = tmp_path / f"other.{suffix}"
    write(other, header, [block])
    if format_ == "h5":
        repack_h5(source, target, 7, compression="gzip")
        with h5py.File(target, "r+") as file, h5py.File(other, "r") as changed:
            file["map"][:] = changed["map"][:]
    else:
        mixed(source, other, target)
    matrix = open_matrix(target, expected_digest=digest)
    assert not matrix.mapped
    np.testing.assert_array_equal(matrix.read_array("tokens", slice(None)), expected["tokens"])
    with pytest.raises(CorruptMatrix, match="array 'map': rows 0"):
        matrix.read_array("map", slice(0, 1))


def mixed(source: Path, other: Path, target: Path) -> None:
    """Copy `source` with the map of `other`, whose checksums are all as they should be."""
    with zarr.storage.ZipStore(other, mode="r") as changed:
        replacement = zarr.open_group(changed, mode="r")["map"][:]
    with zarr.storage.ZipStore(source, mode="r") as old, zarr.storage.ZipStore(target, mode="w") as new:
        given = zarr.open_group(old, mode="r")
        group = zarr.create_group(new, attributes=dict(given.attrs))
        for name, array in given.arrays():
            values = replacement if name == "map" else array[:]
            made = group.create_array(
                name,
                shape=values.shape,
                chunks=values.shape,
                dtype=values.dtype,
                compressors=[ZstdCodec()],
                config={"write_empty_chunks": True},
            )
            made[:] = values
