"""A damaged, torn or foreign matrix is refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from store import CorruptMatrix, MatrixBlock, MatrixHeader, UnsupportedFormat, open_matrix, write_matrix
from store.files.plain_json import parse_document
from store.files.zarr_documents import chunk_parts, document_bytes
from store.matrices.contents import FORMAT_VERSION
from tests.store.matrices.samples import edit, rezip

HEADER = MatrixHeader([f"id{i}" for i in range(40)], 3, "float32", np.zeros(3), {"note": "x"})
VECTORS = np.random.default_rng(0).standard_normal((40, 3)).astype("f4")
BLOCK = MatrixBlock(VECTORS, np.ones(40, bool), np.arange(40) % 7 > 0)


@pytest.fixture
def written(matrix_path):
    write_matrix(matrix_path, HEADER, [BLOCK], chunk_rows=10)
    return matrix_path


def test_no_flipped_byte_changes_what_is_read(written):
    """Padding and dates may change unseen; values, masks, ids and attributes may not."""
    data, good = written.read_bytes(), open_matrix(written)
    generator = np.random.default_rng(0)
    refused = 0
    for position in generator.choice(len(data), 300, replace=False):
        damaged = bytearray(data)
        damaged[position] ^= 1 << generator.integers(8)
        written.unlink()  # a new file each time: the old one is still mapped
        written.write_bytes(damaged)
        try:
            found = open_matrix(written)
        except (CorruptMatrix, UnsupportedFormat):
            refused += 1
            continue
        np.testing.assert_array_equal(found.block(0, 40), good.block(0, 40))
        np.testing.assert_array_equal(found.usable, good.usable)
        assert (found.ids, found.attributes) == (good.ids, good.attributes)
    assert refused > 60


def test_every_flipped_vector_is_found(written):
    data = written.read_bytes()
    start = data.index(VECTORS[1:7].tobytes())
    for position in range(start, start + 6 * 12, 3):
        damaged = bytearray(data)
        damaged[position] ^= 4
        written.unlink()
        written.write_bytes(damaged)
        with pytest.raises(CorruptMatrix, match="dvc repro"):
            open_matrix(written)
        open_matrix(written, verify=False)  # what the caller asked for


def test_zarr_itself_finds_a_flipped_byte(tmp_path):
    path = tmp_path / "m.zarr.zip"
    write_matrix(path, HEADER, [BLOCK], chunk_rows=10)
    data = bytearray(path.read_bytes())
    data[data.index(VECTORS[15:20].tobytes())] ^= 1
    path.write_bytes(data)
    with zarr.storage.ZipStore(path, mode="r") as archive:
        group = zarr.open_group(archive, mode="r")
        np.testing.assert_array_equal(group["vectors"][20:], VECTORS[20:] * BLOCK.ok[20:, None])
        with pytest.raises((ValueError, zipfile.BadZipFile)):
            group["vectors"][:]


def test_the_damaged_block_is_named(matrix_path):
    n = 20_000
    header = MatrixHeader([str(i) for i in range(n)], 1, "float32", np.zeros(1))
    vectors = np.arange(n, dtype="f4")[:, None]
    write_matrix(matrix_path, header, [MatrixBlock(vectors, np.ones(n, bool), np.ones(n, bool))])
    data = bytearray(matrix_path.read_bytes())
    data[data.index(vectors[9000:9010].tobytes())] ^= 1
    matrix_path.write_bytes(data)
    with pytest.raises(CorruptMatrix, match="rows 8192 and following"):
        open_matrix(matrix_path)


def test_every_truncation_is_found(written):
    data = written.read_bytes()
    for length in np.linspace(0, len(data) - 1, 60).astype(int):
        written.unlink()
        written.write_bytes(data[:length])
        with pytest.raises(CorruptMatrix):
            open_matrix(written, verify=False)


def test_a_missing_matrix_is_not_a_damaged_one(matrix_path):
    with pytest.raises(FileNotFoundError):
        open_matrix(matrix_path)


def test_a_newer_matrix_asks_for_an_upgrade(matrix_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(MatrixHeader, "version", FORMAT_VERSION + 1)
        write_matrix(matrix_path, HEADER, [BLOCK])
    with pytest.raises(UnsupportedFormat, match=r"matrix .*upgrade diptych"):
        open_matrix(matrix_path)


def edit_attributes(**fields):
    def change(members):
        root = parse_document(members["zarr.json"])
        root["attributes"] = {k: v for k, v in (root["attributes"] | fields).items() if v is not None}
        members["zarr.json"] = document_bytes(root)

    return change


ZARR_ABUSES = {
    "not complete": edit_attributes(complete=None),
    "wrong rows": edit_attributes(rows=39),
    "no digest": edit_attributes(digest=None),
    "no version": edit_attributes(min_reader=None),
    "another member": lambda members: members.update({"x": b""}),
    "a lost chunk": lambda members: members.pop("vectors/c/0/0"),
    "a lost mask": lambda members: members.pop("ok/c/0"),
    "a lost array": lambda members: members.pop("ok/zarr.json"),
    "a short chunk": lambda members: members.update({"vectors/c/0/0": b"x"}),
    "a huge shape": edit("vectors/zarr.json", shape=[10**13, 3]),
    "a negative shape": edit("vectors/zarr.json", shape=[-1, 3]),
    "one dimension": edit("vectors/zarr.json", shape=[40]),
    "another codec": edit("vectors/zarr.json", codecs=[{"name": "pickle"}]),
    "another type": edit("vectors/zarr.json", data_type="float64"),
}


@pytest.mark.parametrize("abuse", ZARR_ABUSES)
def test_a_zarr_file_of_another_make_is_refused(tmp_path, abuse):
    path = tmp_path / "m.zarr.zip"
    write_matrix(path, HEADER, [BLOCK], chunk_rows=10)
    rezip(path, ZARR_ABUSES[abuse])
    with pytest.raises(CorruptMatrix):
        open_matrix(path, verify=False)


def moved_to_external(file):
    shape = file.pop("vectors").shape
    file.create_dataset("vectors", shape=shape, dtype="f4", external=[("secret", 0, 10_000)])


def soft_link(file):
    file.move("vectors", "hidden")
    file["vectors"] = h5py.SoftLink("/hidden")


H5_ABUSES = {
    "not complete": lambda file: file.attrs.modify("complete", np.bool_(False)),
    "wrong rows": lambda file: file.attrs.modify("rows", np.int64(39)),
    "no digest": lambda file: file.attrs.pop("digest"),
    "another attribute": lambda file: file.attrs.create("x", 1),
    "changed notes": lambda file: file["attributes_json"].write_direct(np.array([123] * 12, "u1")),
    "another member": lambda file: file.create_group("x"),
    "a lost mask": lambda file: file.pop("ok"),
    "external storage": moved_to_external,
    "a soft link": soft_link,
    "another type": lambda file: file.create_dataset("vectors", data=file.pop("vectors")[:].astype("f8")),
    "never written": lambda file: file.create_dataset("vectors", shape=file.pop("vectors").shape, dtype="f4"),
}


@pytest.mark.parametrize("abuse", H5_ABUSES)
def test_an_hdf5_file_of_another_make_is_refused(tmp_path, abuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"s" * 10_000)
    path = tmp_path / "m.h5"
    write_matrix(path, HEADER, [BLOCK])
    with h5py.File(path, "r+") as file:
        H5_ABUSES[abuse](file)
    with pytest.raises(CorruptMatrix):
        open_matrix(path, verify=False)


def test_other_files_are_refused(matrix_path):
    for content in (b"", b"x", b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n" + bytes(1000), os.urandom(5000)):
        matrix_path.write_bytes(content)
        with pytest.raises(CorruptMatrix):
            open_matrix(matrix_path)


def ids_cut(offsets, utf8=None):
    """Store the text of the ids cut otherwise, with checksums that fit."""

    def change(members):
        members["ids_offsets/c/0"] = b"".join(chunk_parts(np.array(offsets, "i8")))
        members["ids_utf8/c/0"] = (
            members["ids_utf8/c/0"] if utf8 is None else b"".join(chunk_parts(np.frombuffer(utf8, "u1")))
        )

    return change


@pytest.mark.parametrize(
    ("offsets", "utf8"),
    [
        ([1, 3, 6], None),
        ([0, 3, 5], None),
        ([0, 7, 6], None),
        ([0, -1, 6], None),
        ([0, 2, 6], None),  # within the second character
        ([0, 3, 6], b"abc\xffde"),
        ([0, 3, 6], b"abcde\xc3"),
    ],
)
def test_ids_that_are_no_text_are_refused_at_once(tmp_path, offsets, utf8):
    path = tmp_path / "m.zarr.zip"
    write_matrix(path, MatrixHeader(["aé", "bcd"], 1, "float32", np.zeros(1)), [one_column(2)])
    rezip(path, ids_cut([0, 3, 6]))
    assert open_matrix(path, verify=False).ids == ["aé", "bcd"]
    rezip(path, ids_cut(offsets, utf8))
    with pytest.raises(CorruptMatrix):
        open_matrix(path, verify=False)


def one_column(n):
    return MatrixBlock(np.ones((n, 1), "f4"), np.ones(n, bool), np.ones(n, bool))
