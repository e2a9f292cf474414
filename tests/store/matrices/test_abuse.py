"""What a file that claims to be a matrix may not hold: codecs, links and sizes are refused before a row is read."""

from __future__ import annotations

import gc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from zarr.codecs import BloscCodec

from store import CorruptMatrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from tests.store.matrices.samples import edit, put, rezip

N, DIM = 1000, 6
VECTORS = np.random.default_rng(3).standard_normal((N, DIM)).astype("f2")


def write(path: Path) -> Path:
    header = MatrixHeader([f"item {i} é" for i in range(N)], DIM, "float16", np.zeros(DIM), {"note": "x"})
    block = MatrixBlock(VECTORS, np.ones(N, bool), np.ones(N, bool))
    write_matrix(path, header, [block], durability="none", chunk_rows=250)
    return path


def grid(*sizes: int) -> dict[str, object]:
    return {"name": "regular", "configuration": {"chunk_shape": list(sizes)}}


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
JSON, CHUNK = "vectors/zarr.json", "vectors/c/3/0"

ZARR_ABUSES = {
    "a lost chunk": lambda members: members.pop(CHUNK),
    "a lost mask": lambda members: members.pop("present/c/0"),
    "another member": put("x", b""),
    "another group": edit("zarr.json", consolidated_metadata={}),
    "pickle": edit(JSON, codecs=[LITTLE, {"name": "pickle"}]),
    "a codec of numcodecs": edit(JSON, codecs=[LITTLE, {"name": "numcodecs.pickle", "configuration": {}}]),
    "a codec with more": edit(JSON, codecs=[LITTLE, ZSTD | {"x": 1}]),
    "two compressors": edit(JSON, codecs=[LITTLE, ZSTD, GZIP]),
    "another compressor": edit(JSON, codecs=[LITTLE, BloscCodec(typesize=2).to_dict()]),
    "sharding": edit(JSON, codecs=[{"name": "sharding_indexed", "configuration": {}}]),
    "big-endian": edit(JSON, codecs=[BIG, {"name": "crc32c"}]),
    "no checksum": edit(JSON, codecs=[LITTLE]),
    "no codecs": edit(JSON, codecs=[]),
    "codecs of no kind": edit(JSON, codecs=[LITTLE, {"name": ["zstd"]}]),
    "strings": edit(JSON, data_type="string"),
    "a transformer": edit(JSON, storage_transformers=[{"name": "x"}]),
    "zarr v2": edit(JSON, zarr_format=2),
    "another grid": edit(JSON, chunk_grid=grid(250, DIM) | {"name": "rectilinear"}),
    "a grid of no kind": edit(JSON, chunk_grid=7),
    "another separator": edit(JSON, chunk_key_encoding={"name": "v2", "configuration": {"separator": "."}}),
    "a huge shape": edit(JSON, shape=[10**13, DIM]),
    "huge chunks": edit(JSON, chunk_grid=grid(10**9, DIM)),
    "wide bands": edit(JSON, chunk_grid=grid(10**9, 1)),
    "no chunks": edit(JSON, chunk_grid=grid(0, DIM)),
    "odd sizes": edit(JSON, shape=[1000.0, DIM]),
    "three dimensions": edit(JSON, shape=[N, DIM, 1], chunk_grid=grid(250, DIM, 1)),
    "fewer rows": edit(JSON, shape=[N - 1, DIM]),
    "huge ids": edit("ids_utf8/zarr.json", shape=[1 << 40], chunk_grid=grid(1 << 40)),
    "ids of no length": edit("ids_utf8/zarr.json", shape=["x"]),
    "a huge mask": edit("ok/zarr.json", shape=[1 << 40], chunk_grid=grid(1 << 40)),
    "a short chunk": put(CHUNK, bytes(100)),
    "an empty chunk": put(CHUNK, b""),
    "a huge member": put(CHUNK, bytes(10_000_000)),
    "a member outside": put("../x", b"x"),
    "a member of the system": put("/etc/x", b"x"),
}


@pytest.mark.parametrize("abuse", ZARR_ABUSES)
def test_a_zarr_file_of_another_make_is_refused(tmp_path: Path, abuse: str) -> None:
    path = write(tmp_path / "m.zarr.zip")
    rezip(path, ZARR_ABUSES[abuse])
    with pytest.raises(CorruptMatrix):
        open_matrix(path, verify=False)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.zarr.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("zarr.json", b"{}")
    with pytest.raises(CorruptMatrix, match="found one twice"):
        open_matrix(path)


def test_a_zip_of_too_many_members_is_refused_before_its_directory_is_read(tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / "m.zarr.zip")
    rezip(path, lambda members: members.update({f"{i:06}": b"" for i in range(100_000)}))
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the directory was read"))
    with pytest.raises(CorruptMatrix, match="at most 100000 members"):
        open_matrix(path)


def replaced(name: str, **options):
    def change(file: h5py.File) -> None:
        values = file.pop(name)[:]
        file.create_dataset(name, **({"data": values} | options))

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(N, DIM), dtype="f2")
    layout[:] = h5py.VirtualSource("secret.h5", "x", shape=(N, DIM))
    del file["vectors"]
    file.create_virtual_dataset("vectors", layout)


def linked(link):
    def change(file: h5py.File) -> None:
        del file["vectors"]
        file["vectors"] = link

    return change


def compact(file: h5py.File) -> None:
    """Store a small dataset in its own header, where nothing can be mapped."""
    values = file.pop("missing_vector")[:]
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
    h5py.h5d.create(file.id, b"missing_vector", kind, space, plan).write(h5py.h5s.ALL, h5py.h5s.ALL, values)


def bomb(file: h5py.File) -> None:
    replaced("vectors", chunks=(N, DIM), compression="gzip")(file)
    file["vectors"].id.write_direct_chunk((0, 0), bytes(10))


SHAPED = {"data": None, "dtype": "u1", "chunks": (10**6,)}
H5_ABUSES = {
    "external storage": replaced("vectors", data=None, shape=(N, DIM), dtype="f2", external=[("secret", 0, 100_000)]),
    "a virtual dataset": virtual,
    "a compact dataset": compact,
    "a soft link": linked(h5py.SoftLink("/ok")),
    "an external link": linked(h5py.ExternalLink("secret.h5", "/x")),
    "another filter": replaced("vectors", chunks=(70, DIM), compression="lzf"),
    "scale-offset": replaced("present", chunks=(N,), scaleoffset=0, dtype="u1"),
    "strings": replaced("ids_utf8", data=["x"] * 10, dtype=h5py.string_dtype()),
    "references": replaced("ids_utf8", data=None, shape=(10,), dtype=h5py.ref_dtype),
    "never written": replaced("vectors", data=None, shape=(N, DIM), dtype="f2"),
    "big-endian": replaced("vectors", dtype=">f2"),
    "a huge shape": replaced("vectors", data=None, shape=(10**13, DIM), dtype="f2", chunks=(70, DIM)),
    "a huge shape in one piece": replaced("vectors", data=None, shape=(10**13, DIM), dtype="f2"),
    "huge chunks": replaced("vectors", data=None, shape=(10**9, DIM), dtype="f2", chunks=(10**8, DIM)),
    "huge ids": replaced("ids_utf8", shape=(10**12,), **SHAPED),
    "huge ids in one piece": replaced("ids_utf8", data=None, dtype="u1", shape=(10**12,)),
    "wide rows": replaced("vectors", data=None, shape=(N, 10**9), dtype="f2", chunks=(1, 10**6)),
    "long attributes": replaced("attributes_json", shape=(10**10,), **SHAPED),
    "a bomb": bomb,
}


@pytest.mark.parametrize("abuse", H5_ABUSES)
def test_an_hdf5_file_of_another_make_is_refused(tmp_path: Path, abuse: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"s" * 100_000)
    with h5py.File("secret.h5", "w") as file:
        file["x"] = VECTORS
    path = write(tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        H5_ABUSES[abuse](file)
    with pytest.raises(CorruptMatrix):
        open_matrix(path, verify=False)


def test_no_file_stays_open(matrix_path: Path) -> None:
    def count() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    write(matrix_path)
    before = count()
    matrix = open_matrix(matrix_path)
    assert matrix[:].shape == (N, DIM)
    del matrix
    assert count() == before
    matrix_path.write_bytes(matrix_path.read_bytes()[:-100])
    with pytest.raises(CorruptMatrix):
        open_matrix(matrix_path)
    assert count() == before
