"""Arrays beside the vectors: verified when first read and then remembered, refused when damaged or of another make."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from store import CorruptMatrix, Matrix, UnsupportedFormat, open_matrix
from store.files.plain_json import parse_document
from store.files.zarr_documents import document_bytes
from store.matrices.digest import ArrayDigest
from tests.store.matrices.samples import ARRAYS, N, edit, make, put, rezip, write

NAMES = [array.name for array in ARRAYS]


@pytest.fixture
def written(matrix_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    header, block, expected = make()
    write(matrix_path, header, [block], chunk_rows=9)
    return matrix_path, expected


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of arrays that were hashed, one number for each portion."""
    monkeypatch.setattr("store.trust.verified._TICK_NS", -60_000_000_000)
    rows: list[int] = []
    update = ArrayDigest.update

    def counted(self: ArrayDigest, values: np.ndarray) -> None:
        rows.append(len(values))
        update(self, values)

    monkeypatch.setattr(ArrayDigest, "update", counted)
    return rows


def rewrite(path: Path, data: bytes) -> None:
    """Put other bytes in a new file of the same name: the old one may still be mapped."""
    path.unlink()
    path.write_bytes(data)


def assert_reads(matrix: Matrix, expected: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(matrix[:], expected["vectors"])
    rows = np.random.default_rng(0).integers(0, N, 80)
    for name in NAMES:
        for part in (slice(None), slice(7, 31), rows):
            found = matrix.read_array(name, part)
            assert found.dtype == expected[name].dtype
            np.testing.assert_array_equal(found, expected[name][part])
        np.testing.assert_array_equal(np.concatenate(list(matrix.iter_array(name, 11))), expected[name])


# Verified when first read


def test_an_array_that_nobody_reads_is_not_verified(written, hashed):
    path, expected = written
    hashed.clear()
    matrix = open_matrix(path)
    np.testing.assert_array_equal(matrix.rows(np.arange(N)), expected["vectors"])
    assert hashed == []
    matrix.read_array("map", slice(0, 1))
    assert sum(hashed) == N
    matrix.read_array("map", slice(0, 1))
    next(matrix.iter_array("map"))
    assert sum(hashed) == N
    next(matrix.iter_array("tokens"))
    assert sum(hashed) == 2 * N


def test_each_array_is_verified_once_and_remembered(written, hashed, tmp_path):
    path, expected = written
    memory = tmp_path / "memory"
    for name in ("map", "tokens"):
        hashed.clear()
        open_matrix(path, memory=memory).read_array(name, slice(0, 1))
        assert sum(hashed) == N
    hashed.clear()
    matrix = open_matrix(path, memory=memory)
    np.testing.assert_array_equal(matrix.read_array("map", slice(None)), expected["map"])
    np.testing.assert_array_equal(matrix.read_array("tokens", slice(None)), expected["tokens"])
    assert hashed == []
    assert len(list(memory.iterdir())) == 3
    path.touch()
    open_matrix(path, memory=memory).read_array("map", slice(0, 1))
    assert sum(hashed) == N


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_byte_is_found_named_and_costs_no_other_array(written, name, tmp_path, hashed):
    path, expected = written
    del hashed[:]
    open_matrix(path, memory=tmp_path / "memory").read_array(name, slice(0, 1))
    data = bytearray(path.read_bytes())
    data[data.index(expected[name][:8].tobytes()) + 1] ^= 1
    rewrite(path, bytes(data))
    matrix = open_matrix(path, memory=tmp_path / "memory")
    np.testing.assert_array_equal(matrix[:], expected["vectors"])
    for read in (lambda: matrix.read_array(name, slice(0, 1)), lambda: next(matrix.iter_array(name))):
        with pytest.raises(CorruptMatrix, match=rf"matrix .* array '{name}': rows 0 and following .*dvc repro"):
            read()
    for other in set(NAMES) - {name}:
        np.testing.assert_array_equal(matrix.read_array(other, slice(None)), expected[other])
    unverified = open_matrix(path, verify=False).read_array(name, slice(None))  # what the caller asked for
    assert (unverified != expected[name]).sum() == 1


def test_no_flipped_byte_changes_what_is_read(written):
    path, expected = written
    data, refused = path.read_bytes(), 0
    generator = np.random.default_rng(0)
    for position in generator.choice(len(data), 200, replace=False):
        damaged = bytearray(data)
        damaged[position] ^= 1 << generator.integers(8)
        rewrite(path, bytes(damaged))
        try:
            assert_reads(open_matrix(path), expected)
        except (CorruptMatrix, UnsupportedFormat):
            refused += 1
    assert refused > 60


def test_every_truncation_is_found_without_reading_an_array(written):
    path, _ = written
    data = path.read_bytes()
    for length in np.linspace(0, len(data) - 1, 40).astype(int):
        rewrite(path, data[:length])
        with pytest.raises(CorruptMatrix):
            open_matrix(path, verify=False)


def test_an_older_version_asks_for_an_upgrade(written, monkeypatch):
    path, _ = written
    monkeypatch.setattr("store.matrices.contents.FORMAT_VERSION", 1)
    with pytest.raises(UnsupportedFormat, match="version 1 or older, found 2; upgrade diptych"):
        open_matrix(path)


# Files of another make


def edit_stated(change):
    """Change the attribute `arrays`."""

    def changed(members) -> None:
        root = parse_document(members["zarr.json"])
        change(root["attributes"]["arrays"])
        members["zarr.json"] = document_bytes(root)

    return changed


def all_of(name: str, do):
    def change(members) -> None:
        for member in [each for each in members if each.startswith(f"{name}/")]:
            do(members, member)

    return change


ZARR_ABUSES = {
    "a lost chunk": lambda members: members.pop("tokens/c/2/0/0"),
    "a lost array": all_of("tokens", lambda members, member: members.pop(member)),
    "lost metadata": lambda members: members.pop("tokens/zarr.json"),
    "an array too many": all_of("map", lambda members, member: members.update({f"x{member}": members[member]})),
    "an array not stated": edit_stated(lambda arrays: arrays.pop("map")),
    "an array stated alone": edit_stated(lambda arrays: arrays.update(map2=arrays["map"])),
    "a mask not stated": edit_stated(lambda arrays: arrays.pop("token_mask")),
    "another shape stated": edit_stated(lambda arrays: arrays["map"].update(shape=[2, 9, 1])),
    "a huge shape stated": edit_stated(lambda arrays: arrays["map"].update(shape=[2, 1 << 40, 1])),
    "another type stated": edit_stated(lambda arrays: arrays["map"].update(dtype="uint8")),
    "no shape stated": edit_stated(lambda arrays: arrays["map"].pop("shape")),
    "nothing stated": edit_stated(lambda arrays: arrays.clear()),
    "version 1 claimed": lambda members: edit(
        "zarr.json", attributes=parse_document(members["zarr.json"])["attributes"] | {"format_version": 1}
    )(members),
    "arrays of no kind": lambda members: edit(
        "zarr.json", attributes=parse_document(members["zarr.json"])["attributes"] | {"arrays": ["map"]}
    )(members),
    "another type": edit("map/zarr.json", data_type="float16"),
    "fewer rows": edit("map/zarr.json", shape=[N - 1, 2, 3, 3]),
    "five dimensions": edit("map/zarr.json", shape=[N, 2, 3, 3, 1]),
    "pickle": edit("map/zarr.json", codecs=[{"name": "pickle"}]),
}


@pytest.mark.parametrize("abuse", ZARR_ABUSES)
def test_a_zarr_file_of_another_make_is_refused(tmp_path, abuse):
    header, block, _ = make()
    path = tmp_path / "m.zarr.zip"
    write(path, header, [block], chunk_rows=9)
    rezip(path, ZARR_ABUSES[abuse])
    with pytest.raises(CorruptMatrix):
        open_matrix(path, verify=False)


def test_a_chunk_of_another_size_is_refused_at_once(tmp_path):
    header, block, _ = make()
    path = tmp_path / "m.zarr.zip"
    write(path, header, [block], chunk_rows=9)
    rezip(path, put("tokens/c/5/0/0", b"x"))  # the last one, so that all others stay where they were
    with pytest.raises(CorruptMatrix, match=r"bytes in tokens/c/5/0/0, found 1"):
        open_matrix(path, verify=False)


@pytest.mark.parametrize("digests", [None, [], ["0" * 64], "0" * 64])
def test_digests_of_an_array_cannot_be_exchanged(tmp_path, digests):
    header, block, _ = make()
    path = tmp_path / "m.zarr.zip"
    write(path, header, [block], chunk_rows=9)
    rezip(path, edit_stated(lambda arrays: arrays["map"].update(block_digests=digests)))
    with pytest.raises(CorruptMatrix, match="expected the digest"):
        open_matrix(path)
    with pytest.raises(ValueError, match="array 'map': rows 0"):
        open_matrix(path, verify=False).verify_array("map")


def replaced(name: str, **options):
    def change(file: h5py.File) -> None:
        values = file.pop(name)[:]
        file.create_dataset(name, **({"data": values} | options))

    return change


def linked(link):
    def change(file: h5py.File) -> None:
        del file["map"]
        file["map"] = link

    return change


H5_ABUSES = {
    "a lost array": lambda file: file.pop("map"),
    "lost digests": lambda file: file.pop("array_digests"),
    "digests of other length": replaced("array_digests", data=np.zeros((1, 32), "u1")),
    "another member": lambda file: file.create_group("x"),
    "another type": lambda file: replaced("map", data=file["map"][:].astype("f2"))(file),
    "fewer rows": lambda file: replaced("map", data=file["map"][:-1])(file),
    "external storage": replaced("map", data=None, shape=(N, 2, 3, 3), dtype="f4", external=[("secret", 0, 100_000)]),
    "a soft link": linked(h5py.SoftLink("/vectors")),
    "an external link": linked(h5py.ExternalLink("secret.h5", "/x")),
    "never written": replaced("map", data=None, shape=(N, 2, 3, 3), dtype="f4"),
    "chunks never written": replaced("map", data=None, shape=(N, 2, 3, 3), dtype="f4", chunks=(9, 2, 3, 3)),
}


@pytest.mark.parametrize("abuse", H5_ABUSES)
def test_an_hdf5_file_of_another_make_is_refused(tmp_path, abuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"s" * 100_000)
    header, block, _ = make()
    path = tmp_path / "m.h5"
    write(path, header, [block])
    with h5py.File(path, "r+") as file:
        H5_ABUSES[abuse](file)
    with pytest.raises(CorruptMatrix):
        open_matrix(path, verify=False)
