"""A matrix that another tool packed anew, or that is named by a URL, is refused, and the error says what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec

from store import CorruptMatrix, UnsupportedStore, open_matrix
from tests.store.matrices.samples import ARRAYS, make, rezip, write

REMEDY = "delete it and run `dvc repro`, or fetch it again with `dvc pull`"
CODECS = {
    "no codec": (),
    "zstd": (ZstdCodec(level=3, checksum=True),),
    "zstd, then crc32c": (ZstdCodec(), Crc32cCodec()),
    "gzip": (GzipCodec(),),
}
H5_OPTIONS = {
    "chunked": {},
    "shuffle and gzip": {"compression": "gzip", "shuffle": True},
    "fletcher32": {"fletcher32": True},
}


@pytest.fixture(params=[ARRAYS, ()], ids=["with arrays", "vectors alone"])
def matrix(request: pytest.FixtureRequest, matrix_path: Path) -> Path:
    header, block, _ = make(arrays=request.param)
    write(matrix_path, header, [block], chunk_rows=9)
    open_matrix(matrix_path)
    return matrix_path


@pytest.fixture
def zarr_matrix(tmp_path: Path) -> Path:
    header, block, _ = make()
    write(tmp_path / "m.zarr.zip", header, [block], chunk_rows=9)
    return tmp_path / "m.zarr.zip"


def refused(path: Path, found: str) -> None:
    for verify in (True, False):
        with pytest.raises(CorruptMatrix) as caught:
            open_matrix(path, verify=verify)
        assert str(caught.value).startswith(f"matrix {path} is damaged or not ours: expected ")
        assert found in str(caught.value)
        assert str(caught.value).endswith(f"; {REMEDY}")


@pytest.mark.parametrize("codecs", CODECS)
def test_by_zarr(zarr_matrix: Path, tmp_path: Path, codecs: str) -> None:
    target = tmp_path / "new.zarr.zip"
    with zarr.storage.ZipStore(zarr_matrix, mode="r") as old, zarr.storage.ZipStore(target, mode="w") as new:
        given = zarr.open_group(old, mode="r")
        group = zarr.create_group(new, attributes=dict(given.attrs))
        for name, array in given.arrays():
            values = array[:]
            chunks = (min(7, len(values)), *values.shape[1:])
            made = group.create_array(
                name, shape=values.shape, chunks=chunks, dtype=values.dtype, compressors=list(CODECS[codecs])
            )
            made[:] = values
    refused(target, "found other metadata")


@pytest.mark.parametrize("options", H5_OPTIONS)
def test_by_h5py(tmp_path: Path, options: str) -> None:
    header, block, _ = make()
    write(tmp_path / "m.h5", header, [block])
    with h5py.File(tmp_path / "m.h5", "r") as old, h5py.File(tmp_path / "new.h5", "w") as new:
        for name, dataset in old.items():
            new.create_dataset(name, data=dataset[:], chunks=dataset.shape, **H5_OPTIONS[options])
        for name, value in old.attrs.items():
            new.attrs[name] = value
    refused(tmp_path / "new.h5", "found it cut, compressed or elsewhere")


def test_one_chunked_array_beside_sound_vectors(tmp_path: Path) -> None:
    header, block, _ = make()
    write(tmp_path / "m.h5", header, [block])
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        values = file.pop("map")[:]
        file.create_dataset("map", data=values, chunks=values.shape)
    refused(tmp_path / "m.h5", "expected 'map' in one piece")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_by_a_tool_that_zips(zarr_matrix: Path, compression: int) -> None:
    rezip(zarr_matrix, compression=compression)
    refused(zarr_matrix, "found compressed ones")


def test_zipped_anew_without_compression(zarr_matrix: Path) -> None:
    with zipfile.ZipFile(zarr_matrix) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(zarr_matrix.with_name("new.zarr.zip"), "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    refused(zarr_matrix.with_name("new.zarr.zip"), "chunks at one stride, found others")


def test_with_its_folders_noted(zarr_matrix: Path) -> None:
    rezip(zarr_matrix, lambda members: members.update({"vectors/": b"", "vectors/c/": b""}))
    refused(zarr_matrix, "found 'vectors/' missing or too many")


def test_a_change_of_nothing_is_no_change(zarr_matrix: Path) -> None:
    before = zarr_matrix.read_bytes()
    rezip(zarr_matrix)
    assert zarr_matrix.read_bytes() == before


@pytest.mark.parametrize("scheme", ["s3://bucket", "memory://bucket", "file://", "https://me:secret@host", "zip::s3:/"])
def test_a_url_is_refused_and_not_shown(matrix: Path, scheme: str) -> None:
    with pytest.raises(UnsupportedStore) as caught:
        open_matrix(f"{scheme}/{matrix.name}")
    assert caught.value.exit_code == 2
    assert "expected a matrix by its path on this machine, found a URL" in str(caught.value)
    assert "`dvc pull`" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_path_as_text_is_a_path(matrix: Path) -> None:
    np.testing.assert_array_equal(open_matrix(str(matrix))[:], open_matrix(matrix)[:])
