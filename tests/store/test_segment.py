"""Segments are read exactly as written or not at all: formats, determinism, damage and abuse."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from store import CorruptSegment, InvalidVectors, Segment, UnsupportedFormat
from store import segment as segment_module
from store.key import sortable
from store.segment import SegmentName, build_segment, read_segment, row_digests, rows_per_segment
from store.zarr_documents import array_document

FINGERPRINT = "ab" * 32


@pytest.fixture
def segment(make_rows):
    return make_segment(*make_rows(0, 20))


def make_segment(keys, vectors) -> Segment:
    order = np.argsort(sortable(keys), kind="stable")
    vectors = vectors[order]
    return Segment(keys[order], vectors, row_digests(vectors), {"device": "cpu"}, FINGERPRINT)


def put(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return name


def put_renamed(folder: Path, format_: str, data: bytes, rows: int = 20) -> str:
    """Give altered bytes a name that fits them, as a tool or an attacker would."""
    return put(folder, str(SegmentName(format_, rows, len(data), hashlib.sha256(data).hexdigest())), data)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_was_written_is_read(tmp_path, segment_format, make_rows, dtype):
    written = make_segment(*make_rows(0, 20, dtype))
    name = put(tmp_path, *build_segment(segment_format, written))
    found = read_segment(tmp_path, name)
    np.testing.assert_array_equal(found.keys, written.keys)
    np.testing.assert_array_equal(found.vectors, written.vectors)
    np.testing.assert_array_equal(found.row_digests, written.row_digests)
    assert found.vectors.dtype == np.dtype(dtype)
    assert (found.provenance, found.fingerprint) == ({"device": "cpu"}, FINGERPRINT)


def test_equal_content_gives_equal_bytes(segment_format, segment, monkeypatch):
    first = build_segment(segment_format, segment)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert build_segment(segment_format, segment) == first


def test_the_name_promises_rows_bytes_and_digest(segment_format, segment):
    name, data = build_segment(segment_format, segment)
    digest = hashlib.sha256(data).hexdigest()
    assert name == f"{segment_format}-20-{len(data)}-{digest}.{segment_format}"
    assert str(SegmentName.parse(name)) == name


def test_zarr_itself_reads_a_segment(tmp_path, segment):
    path = tmp_path / put(tmp_path, *build_segment("zarr.zip", segment))
    with zarr.storage.ZipStore(path, mode="r") as archive:
        group = zarr.open_group(archive, mode="r")
        np.testing.assert_array_equal(group["vectors"][:], segment.vectors)
        np.testing.assert_array_equal(group["keys"][:], segment.keys)
        assert group.attrs["fingerprint"] == FINGERPRINT


def test_h5py_itself_reads_a_segment(tmp_path, segment):
    path = tmp_path / put(tmp_path, *build_segment("h5", segment))
    with h5py.File(path, "r") as file:
        np.testing.assert_array_equal(file["vectors"][:], segment.vectors)
        assert json.loads(file.attrs["provenance"]) == {"device": "cpu"}


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32"])
def test_our_zarr_documents_are_those_of_zarr(dtype):
    memory = zarr.storage.MemoryStore()
    codecs = {"compressors": (zarr.codecs.Crc32cCodec(),), "filters": None}
    fill = float("nan") if dtype.startswith("f") else 0
    zarr.create_array(memory, name="x", shape=(5, 3), chunks=(2, 3), dtype=dtype, fill_value=fill, **codecs)
    theirs = json.loads(memory._store_dict["x/zarr.json"].to_bytes())
    assert array_document((5, 3), (2, 3), dtype) == theirs


def test_every_flipped_byte_is_found(tmp_path, segment_format, segment):
    name, data = build_segment(segment_format, segment)
    generator = np.random.default_rng(0)
    for position in generator.choice(len(data), 200, replace=False):
        damaged = bytearray(data)
        damaged[position] ^= 1 << generator.integers(8)
        put(tmp_path, name, bytes(damaged))
        with pytest.raises(CorruptSegment, match=name):
            read_segment(tmp_path, name)


def test_every_truncation_is_found(tmp_path, segment_format, segment):
    name, data = build_segment(segment_format, segment)
    for length in np.linspace(0, len(data) - 1, 50).astype(int):
        put(tmp_path, name, data[:length])
        with pytest.raises(CorruptSegment, match=f"expected {len(data)} bytes, found {length}"):
            read_segment(tmp_path, name)


def test_longer_swapped_and_renamed_files_are_found(tmp_path, segment_format, segment, make_rows):
    name, data = build_segment(segment_format, segment)
    other, other_data = build_segment(segment_format, make_segment(*make_rows(20, 40)))
    for wrong_name, wrong in ((name, data + b"\0"), (name, other_data), (other, data)):
        put(tmp_path, wrong_name, wrong)
        with pytest.raises(CorruptSegment):
            read_segment(tmp_path, wrong_name)
    renamed = put(tmp_path, name.replace("-20-", "-21-"), data)
    with pytest.raises(CorruptSegment):
        read_segment(tmp_path, renamed)


@pytest.mark.parametrize(
    "name",
    [
        "README",
        ".tmp-host-1-2",
        "../x",
        "zarr.zip-1-1-" + "a" * 64 + ".h5",
        "zarr.zip-0-1-" + "a" * 64 + ".zarr.zip",
        "zarr.zip-1-1-" + "A" * 64 + ".zarr.zip",
        "zarr.zip-1-1-" + "a" * 64 + ".zarr.zip\n",
        "h5-\u0661-1-" + "a" * 64 + ".h5",
        "\x1b[31m",
        "x" * 4000,
    ],
)
def test_other_names_are_not_segments(tmp_path, name):
    assert SegmentName.parse(name) is None
    with pytest.raises(CorruptSegment) as caught:
        read_segment(tmp_path, name)
    assert "\x1b" not in str(caught.value)


def test_only_regular_files_are_read(tmp_path, segment_format, segment):
    name, data = build_segment(segment_format, segment)
    secret = tmp_path / "secret"
    secret.write_bytes(data)
    folder = tmp_path / "segments"
    folder.mkdir()
    (folder / name).symlink_to(secret)
    with pytest.raises(CorruptSegment):
        read_segment(folder, name)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CorruptSegment, match="regular file"):
        read_segment(folder, name)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(CorruptSegment, match="regular file"):
        read_segment(folder, name)


def test_a_missing_segment_is_not_a_damaged_one(tmp_path, segment_format, segment):
    with pytest.raises(FileNotFoundError):
        read_segment(tmp_path, build_segment(segment_format, segment)[0])


def test_a_newer_format_asks_for_an_upgrade(tmp_path, segment_format, segment, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(segment_module, "FORMAT_VERSION", 2)
        name = put(tmp_path, *build_segment(segment_format, segment))
    with pytest.raises(UnsupportedFormat, match="upgrade diptych"):
        read_segment(tmp_path, name)


def test_unsorted_and_repeated_keys_are_refused(tmp_path, segment_format, segment):
    for rows in (np.arange(20)[::-1], np.zeros(20, dtype=int)):
        wrong = Segment(segment.keys[rows], segment.vectors, segment.row_digests, {}, FINGERPRINT)
        name = put(tmp_path, *build_segment(segment_format, wrong))
        with pytest.raises(CorruptSegment, match="ascending order"):
            read_segment(tmp_path, name)


def test_provenance_is_small_plain_data(segment_format, segment):
    def build(provenance):
        content = Segment(segment.keys, segment.vectors, segment.row_digests, provenance, FINGERPRINT)
        return build_segment(segment_format, content)

    with pytest.raises(InvalidVectors, match="record less"):
        build({"x": "y" * 40_000})
    with pytest.raises(TypeError):
        build({"x": object()})


def test_rows_per_segment_keeps_the_limit():
    rows = rows_per_segment(512, 2)
    assert rows * (512 * 2 + 40) < segment_module.MAX_SEGMENT_BYTES
    with pytest.raises(InvalidVectors):
        rows_per_segment(40_000_000, 4)


def rezip(data: bytes, change) -> bytes:
    """Repack a zip after `change` edited the dict of its members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def edit(member: str, **fields):
    def change(members):
        members[member] = json.dumps(json.loads(members[member]) | fields).encode()

    return change


ZARR_ABUSES = {
    "another member": lambda members: members.update({"../x": b""}),
    "a lost chunk": lambda members: members.pop("vectors/c/0/0"),
    "a huge shape": edit("vectors/zarr.json", shape=[10**13, 6]),
    "a huge dimension": edit("vectors/zarr.json", shape=[20, 10**13]),
    "a wrong kind of shape": edit("vectors/zarr.json", shape="x"),
    "zarr version 2": edit("vectors/zarr.json", zarr_format=2),
    "a pickle codec": edit("vectors/zarr.json", codecs=[{"name": "pickle"}]),
    "objects": edit("vectors/zarr.json", data_type="object"),
    "a transformer": edit("keys/zarr.json", storage_transformers=[{"name": "x"}]),
    "an odd group": edit("zarr.json", consolidated_metadata={}),
    "no attributes": edit("zarr.json", attributes={}),
    "a JSON bomb": lambda members: members.update({"zarr.json": b"[" * 200_000}),
    "not a number": lambda members: members.update({"zarr.json": b'{"attributes": NaN}'}),
    "a flipped vector": lambda members: members.update({"vectors/c/0/0": b"\1" + members["vectors/c/0/0"][1:]}),
}


@pytest.mark.parametrize("abuse", ZARR_ABUSES)
def test_a_zarr_file_of_another_make_is_refused(tmp_path, segment, abuse):
    _, data = build_segment("zarr.zip", segment)
    name = put_renamed(tmp_path, "zarr.zip", rezip(data, ZARR_ABUSES[abuse]))
    with pytest.raises(CorruptSegment):
        read_segment(tmp_path, name)


def test_compressed_and_crowded_zips_are_refused(tmp_path, segment):
    crowded = rezip(build_segment("zarr.zip", segment)[1], lambda m: m.update({f"x{i}": b"" for i in range(1000)}))
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", b"0" * 1_000_000)
    for data in (crowded, compressed.getvalue(), b"PK", b"x" * 100):
        with pytest.raises(CorruptSegment):
            read_segment(tmp_path, put_renamed(tmp_path, "zarr.zip", data))


def taken(file) -> np.ndarray:
    """Take the vectors out of an HDF5 file, to make room for something else of their name."""
    return file.pop("vectors")[:]


def external(file):
    values = taken(file)
    file.create_dataset("vectors", shape=values.shape, dtype=values.dtype, external=[("secret", 0, 10_000)])


def virtual(file):
    values = taken(file)
    layout = h5py.VirtualLayout(shape=values.shape, dtype=values.dtype)
    layout[:] = h5py.VirtualSource("secret", "x", shape=values.shape)
    file.create_virtual_dataset("vectors", layout)


def soft_link(file):
    file.move("vectors", "keys2")
    file["vectors"] = h5py.SoftLink("/keys2")


def external_link(file):
    taken(file)
    file["vectors"] = h5py.ExternalLink("secret", "/vectors")


def stored(dtype="f4", **options):
    def change(file):
        file.create_dataset("vectors", data=taken(file).astype(dtype), **options)

    return change


def group(file):
    taken(file)
    file.create_group("vectors")


def never_written(file):
    shape = taken(file).shape
    file.create_dataset("vectors", shape=shape, dtype="f4", chunks=shape, fletcher32=True)


H5_ABUSES = {
    "external storage": external,
    "virtual data": virtual,
    "a soft link": soft_link,
    "an external link": external_link,
    "another filter": stored(compression="gzip", fletcher32=True, chunks=(20, 6)),
    "no filter": stored(chunks=(20, 6)),
    "another type": stored("f8", fletcher32=True, chunks=(20, 6)),
    "another byte order": stored(">f4", fletcher32=True, chunks=(20, 6)),
    "another member": lambda file: file.create_group("x"),
    "a group instead": group,
    "chunks never written": never_written,
    "no fingerprint": lambda file: file.attrs.pop("fingerprint"),
    "a number as fingerprint": lambda file: file.attrs.create("fingerprint", 1),
    "an array as version": lambda file: file.attrs.create("min_reader", [1, 1]),
}


def altered_h5(segment: Segment, change) -> bytes:
    file = io.BytesIO(build_segment("h5", segment)[1])
    with h5py.File(file, "r+") as archive:
        change(archive)
    return file.getvalue()


@pytest.mark.parametrize("abuse", H5_ABUSES)
def test_an_hdf5_file_of_another_make_is_refused(tmp_path, segment, abuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"s" * 10_000)
    data = altered_h5(segment, H5_ABUSES[abuse])
    with pytest.raises(CorruptSegment):
        read_segment(tmp_path, put_renamed(tmp_path, "h5", data))


def test_repacking_alone_is_no_reason_to_refuse(tmp_path, segment):
    # The control of the two lists above: they are refused for what was changed, not for having been repacked.
    data = rezip(build_segment("zarr.zip", segment)[1], lambda members: members)
    np.testing.assert_array_equal(
        read_segment(tmp_path, put_renamed(tmp_path, "zarr.zip", data)).vectors, segment.vectors
    )
    data = altered_h5(segment, stored(fletcher32=True, chunks=(20, 6)))
    np.testing.assert_array_equal(read_segment(tmp_path, put_renamed(tmp_path, "h5", data)).vectors, segment.vectors)
