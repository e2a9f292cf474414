"""What a matrix that others packed may not hold: codecs, links and sizes are refused before anything is unpacked."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from store import CorruptMatrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from store.plain_json import parse_document
from store.zarr_documents import document_bytes, zip_entry

N, DIM = 1000, 6
VECTORS = np.random.default_rng(3).standard_normal((N, DIM)).astype("f2")


def write(path: Path) -> Path:
    header = MatrixHeader([f"item {i} é" for i in range(N)], DIM, "float16", np.zeros(DIM), {"note": "x"})
    block = MatrixBlock(VECTORS, np.ones(N, bool), np.ones(N, bool))
    write_matrix(path, header, [block], durability="none", chunk_rows=300)
    return path


def packed_zarr(folder: Path, codec=None, chunk_rows: int = 70) -> Path:
    source, target = write(folder / "m.zarr.zip"), folder / "packed.zarr.zip"
    with zarr.storage.ZipStore(source, mode="r") as old, zarr.storage.ZipStore(target, mode="w") as new:
        given = zarr.open_group(old, mode="r")
        group = zarr.create_group(new, attributes=dict(given.attrs))
        for name, array in given.arrays():
            values = array[:]
            made = group.create_array(
                name,
                shape=values.shape,
                chunks=(chunk_rows, DIM) if name == "vectors" else (200,),
                dtype=values.dtype,
                compressors=[codec or ZstdCodec(checksum=True)],
                config={"write_empty_chunks": True},
            )
            made[:] = values
    assert open_matrix(target, verify=False).reader == "zarr" or codec
    return target


def packed_h5(folder: Path) -> Path:
    source, target = write(folder / "m.h5"), folder / "packed.h5"
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:
        for name, dataset in old.items():
            chunks = (70, DIM) if name == "vectors" else dataset.shape
            new.create_dataset(
                name, data=dataset[:], chunks=chunks, compression="gzip", shuffle=True, fletcher32=name != "vectors"
            )
        for name, value in old.attrs.items():
            new.attrs[name] = value
    assert open_matrix(target).reader == "h5py"
    return target


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


def edit(name, **fields):
    def change(members):
        members[name] = document_bytes(parse_document(members[name]) | fields)

    return change


def put(name, data):
    return lambda members: members.update({name: data})


def grid(*sizes):
    return {"name": "regular", "configuration": {"chunk_shape": list(sizes)}}


def frame_of(size):
    """A Zstandard frame that states a size, and behind it nothing."""
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + bytes(100)


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
JSON, CHUNK = "vectors/zarr.json", "vectors/c/3/0"

ZARR_ABUSES = {
    "a lost chunk": lambda members: members.pop(CHUNK),
    "a lost mask": lambda members: members.pop("present/c/1"),
    "another member": put("x", b""),
    "another group": edit("zarr.json", consolidated_metadata={}),
    "pickle": edit(JSON, codecs=[LITTLE, {"name": "pickle"}]),
    "a codec of numcodecs": edit(JSON, codecs=[LITTLE, {"name": "numcodecs.pickle", "configuration": {}}]),
    "a codec with more": edit(JSON, codecs=[LITTLE, ZSTD | {"x": 1}]),
    "two compressors": edit(JSON, codecs=[LITTLE, ZSTD, GZIP]),
    "sharding": edit(JSON, codecs=[{"name": "sharding_indexed", "configuration": {}}]),
    "big-endian": edit(JSON, codecs=[BIG, ZSTD]),
    "no codecs": edit(JSON, codecs=[]),
    "codecs of no kind": edit(JSON, codecs=[LITTLE, {"name": ["zstd"]}]),
    "strings": edit(JSON, data_type="string"),
    "a transformer": edit(JSON, storage_transformers=[{"name": "x"}]),
    "zarr v2": edit(JSON, zarr_format=2),
    "another grid": edit(JSON, chunk_grid=grid(70, DIM) | {"name": "rectilinear"}),
    "another separator": edit(JSON, chunk_key_encoding={"name": "v2", "configuration": {"separator": "."}}),
    "a huge shape": edit(JSON, shape=[10**13, DIM]),
    "huge chunks": edit(JSON, chunk_grid=grid(10**9, DIM)),
    "wide bands": edit(JSON, chunk_grid=grid(10**9, 1)),
    "no chunks": edit(JSON, chunk_grid=grid(0, DIM)),
    "odd sizes": edit(JSON, shape=[1000.0, DIM]),
    "three dimensions": edit(JSON, shape=[N, DIM, 1], chunk_grid=grid(70, DIM, 1)),
    "fewer rows": edit(JSON, shape=[N - 1, DIM]),
    "huge ids": edit("ids_utf8/zarr.json", shape=[1 << 40], chunk_grid=grid(1 << 25)),
    "a huge mask": edit("ok/zarr.json", shape=[1 << 40]),
    "a frame of too much": put(CHUNK, frame_of(300_000_000)),
    "a frame of no stated size": put(CHUNK, b"\x28\xb5\x2f\xfd" + bytes(100)),
    "no frame": put(CHUNK, bytes(100)),
    "an empty chunk": put(CHUNK, b""),
    "a huge member": put(CHUNK, bytes(10_000_000)),
}


@pytest.mark.parametrize("abuse", ZARR_ABUSES)
def test_a_packed_zarr_file_of_another_make_is_refused(tmp_path, abuse):
    path = packed_zarr(tmp_path)
    rezip(path, ZARR_ABUSES[abuse])
    with pytest.raises(CorruptMatrix):
        open_matrix(path)


@pytest.mark.parametrize(
    "data",
    [gzip.compress(bytes(8_000_000), mtime=0), gzip.compress(bytes(100), mtime=0), b"x" * 100],
    ids=["a bomb", "too few bytes", "no gzip"],
)
def test_a_gzip_bomb_is_not_unpacked(tmp_path, data):
    path = packed_zarr(tmp_path, GzipCodec(), chunk_rows=700)
    rezip(path, put("vectors/c/0/0", data))
    with pytest.raises(CorruptMatrix, match=r"expected a (packed )?chunk"):
        open_matrix(path)


def test_another_codec_is_refused(tmp_path):
    write(tmp_path / "m.zarr.zip")
    rezip(tmp_path / "m.zarr.zip", edit(JSON, codecs=[LITTLE, BloscCodec(typesize=2).to_dict()]))
    with pytest.raises(CorruptMatrix, match="zstd, gzip or crc32c"):
        open_matrix(tmp_path / "m.zarr.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path):
    for path in (write(tmp_path / "n.zarr.zip"), packed_zarr(tmp_path)):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("zarr.json", b"{}")
        with pytest.raises(CorruptMatrix, match="found one twice"):
            open_matrix(path)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "vectors/c/../../x"])
def test_members_of_odd_names_are_refused(tmp_path, name):
    path = packed_zarr(tmp_path)
    rezip(path, put(name, b"x"), zipfile.ZIP_DEFLATED)
    with pytest.raises(CorruptMatrix, match="missing or too many"):
        open_matrix(path)


def test_members_packed_in_another_way_are_refused(tmp_path):
    path = write(tmp_path / "m.zarr.zip")
    rezip(path, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(CorruptMatrix, match="stored or deflated"):
        open_matrix(path)


def test_a_zip_of_too_many_members_is_refused_before_its_directory_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "m.zarr.zip")
    rezip(path, lambda members: members.update({f"{i:06}": b"" for i in range(100_000)}))
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the directory was read"))
    with pytest.raises(CorruptMatrix, match="at most 100000 members"):
        open_matrix(path)


def replaced(name, **options):
    def change(file):
        values = file.pop(name)[:]
        file.create_dataset(name, **({"data": values} | options))

    return change


def virtual(file):
    layout = h5py.VirtualLayout(shape=(N, DIM), dtype="f2")
    layout[:] = h5py.VirtualSource("secret.h5", "x", shape=(N, DIM))
    del file["vectors"]
    file.create_virtual_dataset("vectors", layout)


def linked(link):
    def change(file):
        del file["vectors"]
        file["vectors"] = link

    return change


def sparse(file):
    values = file.pop("vectors")[:]
    made = file.create_dataset("vectors", shape=(N, DIM), dtype="f2", chunks=(70, DIM), compression="gzip")
    made[:910] = values[:910]


def chunk(data, mask=0):
    return lambda file: file["vectors"].id.write_direct_chunk((0, 0), data, filter_mask=mask)


SHAPED = {"data": None, "dtype": "u1", "chunks": (10**6,)}
H5_ABUSES = {
    "external storage": replaced("vectors", data=None, shape=(N, DIM), dtype="f2", external=[("secret", 0, 100_000)]),
    "a virtual dataset": virtual,
    "a soft link": linked(h5py.SoftLink("/ok")),
    "an external link": linked(h5py.ExternalLink("secret.h5", "/x")),
    "another filter": replaced("vectors", chunks=(70, DIM), compression="lzf"),
    "scale-offset": replaced("present", chunks=(N,), scaleoffset=0, dtype="u1"),
    "strings": replaced("ids_utf8", data=["x"] * 10, dtype=h5py.string_dtype()),
    "references": replaced("ids_utf8", data=None, shape=(10,), dtype=h5py.ref_dtype),
    "chunks never written": sparse,
    "a huge shape": replaced("vectors", data=None, shape=(10**13, DIM), dtype="f2", chunks=(70, DIM)),
    "huge chunks": replaced("vectors", data=None, shape=(10**9, DIM), dtype="f2", chunks=(10**8, DIM)),
    "huge ids": replaced("ids_utf8", shape=(10**12,), **SHAPED),
    "wide rows": replaced("vectors", data=None, shape=(N, 10**9), dtype="f2", chunks=(1, 10**6)),
    "long attributes": replaced("attributes_json", shape=(10**10,), **SHAPED),
    "a bomb": chunk(zlib.compress(bytes(700_000))),
    "two streams": chunk(zlib.compress(VECTORS[:70].tobytes()) + b"x"),
    "a chunk not packed": chunk(bytes(841), 2),
    "a filter left out": chunk(zlib.compress(VECTORS[:70].tobytes()), 1),
}


@pytest.mark.parametrize("abuse", H5_ABUSES)
def test_a_packed_hdf5_file_of_another_make_is_refused(tmp_path, abuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"s" * 100_000)
    with h5py.File("secret.h5", "w") as file:
        file["x"] = VECTORS
    path = packed_h5(tmp_path)
    with h5py.File(path, "r+") as file:
        H5_ABUSES[abuse](file)
    with pytest.raises(CorruptMatrix):
        open_matrix(path)


def test_a_chunk_that_deflate_left_as_it_was_is_read(tmp_path):
    path = packed_h5(tmp_path)
    bytes_by_plane = VECTORS[:70].reshape(-1, 1).view(np.uint8).T.tobytes()  # what shuffle makes of a chunk
    with h5py.File(path, "r+") as file:
        chunk(bytes_by_plane, 2)(file)
    np.testing.assert_array_equal(open_matrix(path).block(0, N), VECTORS)


@pytest.mark.parametrize("size", [845, 2000])  # `test_chunk_sizes` has those that are too short
def test_a_chunk_of_another_size_is_refused_where_nothing_packs(tmp_path, size):
    path = packed_h5(tmp_path)
    with h5py.File(path, "r+") as file:
        replaced("vectors", chunks=(70, DIM), shuffle=True, fletcher32=True)(file)
    assert open_matrix(path).reader == "h5py"
    with h5py.File(path, "r+") as file:
        chunk(bytes(size))(file)
    with pytest.raises(CorruptMatrix, match="expected 15 chunks of 840 bytes"):
        open_matrix(path, verify=False)
