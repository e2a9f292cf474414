"""A matrix that another tool packed anew, or that lies behind a URL, reads the same as the one that was written."""

from __future__ import annotations

import gc
import io
import itertools
import os
import zipfile
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec

from store import CorruptMatrix, MatrixBlock, MatrixHeader, UnsupportedStore, open_matrix, write_matrix
from store import vectors as vectors_module
from store.zarr_documents import zip_entry

N, DIM = 1000, 6
GENERATOR = np.random.default_rng(3)
VECTORS = GENERATOR.standard_normal((N, DIM)).astype("f2")
PRESENT, OK = GENERATOR.random(N) > 0.1, GENERATOR.random(N) > 0.1
EXPECTED = np.where((PRESENT & OK)[:, None], VECTORS, np.linspace(0, 1, DIM).astype("f2"))


def write(path: Path) -> str:
    header = MatrixHeader([f"item {i} é" for i in range(N)], DIM, "float16", np.linspace(0, 1, DIM), {"note": "x"})
    return write_matrix(path, header, [MatrixBlock(VECTORS, PRESENT, OK)], durability="none", chunk_rows=300).digest


def repack_zarr(source: Path, target: Path, chunks=(70, DIM), codecs=(), small=None) -> None:
    """Copy with the zarr package alone."""
    with zarr.storage.ZipStore(source, mode="r") as old, zarr.storage.ZipStore(target, mode="w") as new:
        given = zarr.open_group(old, mode="r")
        group = zarr.create_group(new, attributes=dict(given.attrs))
        for name, array in given.arrays():
            values = array[:]
            made = group.create_array(
                name,
                shape=values.shape,
                chunks=chunks if name == "vectors" else (small or max(1, len(values)),),
                dtype=values.dtype,
                compressors=list(codecs),
                config={"write_empty_chunks": True},
            )
            made[:] = values


def repack_h5(source: Path, target: Path, chunks=(70, DIM), **options) -> None:
    """Copy with h5py alone."""
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:
        for name, dataset in old.items():
            shape = chunks if name == "vectors" else dataset.shape
            new.create_dataset(name, data=dataset[:], chunks=shape, **options)
        for name, value in old.attrs.items():
            new.attrs[name] = value


def rezip(path: Path, change=None, compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if change:
        change(members)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            entry = zip_entry(name)
            entry.compress_type = compression
            archive.writestr(entry, content)
    path.unlink()
    path.write_bytes(file.getvalue())


def assert_reads(path, reader: str, digest: str) -> None:
    matrix = open_matrix(path)
    assert (matrix.reader, matrix.mapped, matrix.digest) == (reader, reader == "mapped", digest)
    assert (len(matrix), matrix.dim, matrix.dtype, matrix.ids[7]) == (N, DIM, "float16", "item 7 é")
    np.testing.assert_array_equal(matrix.present, PRESENT)
    np.testing.assert_array_equal(matrix.ok, OK)
    rows = GENERATOR.integers(0, N, 200)
    np.testing.assert_array_equal(matrix.rows(rows), EXPECTED[rows])
    assert matrix.rows(rows[:0]).shape == (0, DIM)
    for start, stop in ((0, N), (5, 5), (69, 71), (123, 777), (N - 1, N)):
        np.testing.assert_array_equal(matrix.block(start, stop), EXPECTED[start:stop])
        np.testing.assert_array_equal(matrix[start:stop], EXPECTED[start:stop])
    np.testing.assert_array_equal(np.concatenate(list(matrix.iter_blocks(101))), EXPECTED)
    assert matrix.attributes["note"] == "x"


CODECS = {
    "none": (),
    "zstd": (ZstdCodec(level=3),),
    "zstd with its checksum": (ZstdCodec(level=3, checksum=True),),
    "zstd, then crc32c": (ZstdCodec(), Crc32cCodec()),
    "gzip": (GzipCodec(),),
    "crc32c, then gzip": (Crc32cCodec(), GzipCodec()),
}


@pytest.mark.parametrize("codecs", CODECS)
@pytest.mark.parametrize("chunks", [(70, DIM), (7, DIM), (5000, DIM), (64, 4)])
def test_a_zarr_matrix_packed_anew_is_read(tmp_path, codecs, chunks, monkeypatch):
    monkeypatch.setattr(vectors_module, "_PIECE_BYTES", 3000)
    digest = write(tmp_path / "m.zarr.zip")
    repack_zarr(tmp_path / "m.zarr.zip", tmp_path / "new.zarr.zip", chunks, CODECS[codecs], small=99)
    assert_reads(tmp_path / "new.zarr.zip", "zarr", digest)


H5_OPTIONS = {
    "chunked": {},
    "gzip": {"compression": "gzip"},
    "shuffle and gzip": {"compression": "gzip", "shuffle": True},
    "all three": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "fletcher32": {"fletcher32": True},
}


@pytest.mark.parametrize("options", H5_OPTIONS)
@pytest.mark.parametrize("chunks", [(70, DIM), (1, DIM), (1000, DIM), (64, 4)])
def test_an_hdf5_matrix_packed_anew_is_read(tmp_path, options, chunks, monkeypatch):
    monkeypatch.setattr(vectors_module, "_PIECE_BYTES", 3000)
    digest = write(tmp_path / "m.h5")
    repack_h5(tmp_path / "m.h5", tmp_path / "new.h5", chunks, **H5_OPTIONS[options])
    assert_reads(tmp_path / "new.h5", "h5py", digest)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_matrix_zipped_anew_is_read(tmp_path, compression):
    path = tmp_path / "m.zarr.zip"
    digest = write(path)
    rezip(path, lambda members: members.update({"vectors/": b"", "vectors/c/": b""}), compression)
    assert_reads(path, "zarr", digest)


def test_an_empty_matrix_packed_anew_is_read(tmp_path):
    header = MatrixHeader([], 3, "float32", np.zeros(3))
    write_matrix(tmp_path / "m.zarr.zip", header, [])
    rezip(tmp_path / "m.zarr.zip", compression=zipfile.ZIP_DEFLATED)
    matrix = open_matrix(tmp_path / "m.zarr.zip")
    assert (len(matrix), matrix.block(0, 0).shape, list(matrix.iter_blocks())) == (0, (0, 3), [])


@pytest.mark.parametrize("suffix", [".zarr.zip", ".h5"])
def test_a_matrix_behind_a_url_is_read(tmp_path, suffix):
    path, url = tmp_path / f"m{suffix}", f"memory://bucket/m{suffix}"
    digest = write(path)
    files = fsspec.filesystem("memory")
    files.pipe_file(url, path.read_bytes())
    assert_reads(url, "zarr" if suffix == ".zarr.zip" else "h5py", digest)
    assert open_matrix(url, verify=False).path == url
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(EXPECTED[400:402].tobytes())] ^= 1
    files.pipe_file(url, bytes(damaged))
    with pytest.raises(CorruptMatrix, match="memory://bucket"):
        open_matrix(url)
    with pytest.raises(FileNotFoundError):
        open_matrix(f"memory://bucket/none{suffix}")
    # What names this machine is mapped.
    assert_reads(f"file://{path}", "mapped", digest)
    assert_reads(str(path), "mapped", digest)


def test_urls_that_are_not_served_are_told():
    with pytest.raises(UnsupportedStore, match="fsspec serves"):
        open_matrix("nothing://bucket/m.h5")
    with pytest.raises(UnsupportedStore) as caught:
        open_matrix("s3://me:secret@bucket/m.h5")
    assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match="rename it"):
        open_matrix("memory://bucket/m.npy")


@pytest.fixture(params=["zarr zstd", "zarr crc32c", "h5 gzip", "h5 fletcher32"])
def packed(request, tmp_path) -> Path:
    """A matrix packed anew, in four ways."""
    kind, _, how = request.param.partition(" ")
    source, path = tmp_path / f"m.{'zarr.zip' if kind == 'zarr' else 'h5'}", tmp_path / "packed"
    write(source)
    if kind == "zarr":
        path = path.with_suffix(".zarr.zip")
        repack_zarr(source, path, codecs=(ZstdCodec(checksum=True),) if how == "zstd" else (Crc32cCodec(),), small=200)
    else:
        path = path.with_suffix(".h5")
        repack_h5(source, path, **(H5_OPTIONS["all three"] if how == "gzip" else H5_OPTIONS["fletcher32"]))
    return path


def test_no_flipped_byte_of_a_packed_matrix_changes_what_is_read(packed):
    data, refused = packed.read_bytes(), 0
    generator = np.random.default_rng(0)
    for position in generator.choice(len(data), 150, replace=False):
        damaged = bytearray(data)
        damaged[position] ^= 1 << generator.integers(8)
        packed.write_bytes(damaged)
        try:
            found = open_matrix(packed)
        except CorruptMatrix:
            refused += 1
            continue
        np.testing.assert_array_equal(found.block(0, N), EXPECTED)
        np.testing.assert_array_equal(found.usable, PRESENT & OK)
    assert refused > 60


def test_every_truncation_of_a_packed_matrix_is_found(packed):
    data = packed.read_bytes()
    for length in np.linspace(0, len(data) - 1, 30).astype(int):
        packed.write_bytes(data[:length])
        with pytest.raises(CorruptMatrix):
            open_matrix(packed)


def test_a_packed_matrix_that_is_damaged_after_it_was_opened_is_told(packed):
    matrix = open_matrix(packed, verify=False)
    size = packed.stat().st_size
    with packed.open("r+b") as file:
        file.seek(size // 10)
        file.write(os.urandom(size * 85 // 100))
    with pytest.raises(CorruptMatrix, match="dvc repro"):
        matrix.rows(np.arange(N))


def test_a_packed_matrix_is_verified_once_and_closed_at_the_end(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("store.verified._TICK_NS", -60_000_000_000)
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    matrix = open_matrix(packed, memory=tmp_path / "memory")
    with monkeypatch.context() as patch:
        patch.setattr(type(matrix), "verify", lambda _: pytest.fail("verified again"))
        assert open_matrix(packed, memory=tmp_path / "memory").digest == matrix.digest
    del matrix
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_only_what_is_asked_for_is_unpacked(packed, monkeypatch):
    monkeypatch.setattr(vectors_module, "_PIECE_BYTES", 1)
    matrix = open_matrix(packed, verify=False)
    asked = []
    read = matrix._vectors._read
    matrix._vectors._read = lambda start, stop: asked.append((start, stop)) or read(start, stop)
    matrix.rows(np.array([5, 720, 3, 700, 3]))
    assert asked == [(0, 70), (700, 770)]
    asked.clear()
    list(matrix.iter_blocks(50))
    assert asked == list(itertools.pairwise([*range(0, N, 70), N]))


def test_slices_are_numpys(matrix_path):
    write(matrix_path)
    matrix = open_matrix(matrix_path)
    for part in (
        slice(None),
        slice(3, 9),
        slice(-5, None),
        slice(9, 3),
        slice(0, 5000),
        slice(1, 9, 3),
        slice(9, 1, -2),
    ):
        np.testing.assert_array_equal(matrix[part], EXPECTED[part])
    for wrong in (3, np.arange(3), (slice(3), slice(2))):
        with pytest.raises(TypeError, match="expected a slice"):
            matrix[wrong]
