"""Segments are read exactly as written or not at all: formats, determinism, damage and abuse."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from store import CorruptSegment, InvalidVectors, LocalBackend, Segment, UnsupportedFormat
from store.files.zarr_documents import array_document
from store.segments import segment as segment_module
from store.segments.segment import SegmentName, build_segment, read_segment, rows_per_segment

FINGERPRINT = "ab" * 32


def put(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return name


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_was_written_is_read(make_segment, tmp_path, segment_format, make_rows, dtype):
    written = make_segment(*make_rows(0, 20, dtype))
    name = put(tmp_path, *build_segment(segment_format, written))
    found = read_segment(LocalBackend(tmp_path), ".", name)
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
            read_segment(LocalBackend(tmp_path), ".", name)


def test_every_truncation_is_found(tmp_path, segment_format, segment):
    name, data = build_segment(segment_format, segment)
    for length in np.linspace(0, len(data) - 1, 50).astype(int):
        put(tmp_path, name, data[:length])
        with pytest.raises(CorruptSegment, match=f"expected {len(data)} bytes, found {length}"):
            read_segment(LocalBackend(tmp_path), ".", name)


def test_longer_swapped_and_renamed_files_are_found(make_segment, tmp_path, segment_format, segment, make_rows):
    name, data = build_segment(segment_format, segment)
    other, other_data = build_segment(segment_format, make_segment(*make_rows(20, 40)))
    for wrong_name, wrong in ((name, data + b"\0"), (name, other_data), (other, data)):
        put(tmp_path, wrong_name, wrong)
        with pytest.raises(CorruptSegment):
            read_segment(LocalBackend(tmp_path), ".", wrong_name)
    renamed = put(tmp_path, name.replace("-20-", "-21-"), data)
    with pytest.raises(CorruptSegment):
        read_segment(LocalBackend(tmp_path), ".", renamed)


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
        read_segment(LocalBackend(tmp_path), ".", name)
    assert "\x1b" not in str(caught.value)


def test_only_regular_files_are_read(tmp_path, segment_format, segment):
    name, data = build_segment(segment_format, segment)
    secret = tmp_path / "secret"
    secret.write_bytes(data)
    folder = tmp_path / "segments"
    folder.mkdir()
    (folder / name).symlink_to(secret)
    with pytest.raises(CorruptSegment):
        read_segment(LocalBackend(folder), ".", name)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CorruptSegment, match="regular file"):
        read_segment(LocalBackend(folder), ".", name)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(CorruptSegment, match="regular file"):
        read_segment(LocalBackend(folder), ".", name)


def test_a_missing_segment_is_not_a_damaged_one(tmp_path, segment_format, segment):
    with pytest.raises(FileNotFoundError):
        read_segment(LocalBackend(tmp_path), ".", build_segment(segment_format, segment)[0])


def test_a_newer_format_asks_for_an_upgrade(tmp_path, segment_format, segment, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(segment_module, "FORMAT_VERSION", 2)
        name = put(tmp_path, *build_segment(segment_format, segment))
    with pytest.raises(UnsupportedFormat, match="upgrade diptych"):
        read_segment(LocalBackend(tmp_path), ".", name)


def test_unsorted_and_repeated_keys_are_refused(tmp_path, segment_format, segment):
    for rows in (np.arange(20)[::-1], np.zeros(20, dtype=int)):
        wrong = Segment(segment.keys[rows], segment.vectors, segment.row_digests, {}, FINGERPRINT)
        name = put(tmp_path, *build_segment(segment_format, wrong))
        with pytest.raises(CorruptSegment, match="ascending order"):
            read_segment(LocalBackend(tmp_path), ".", name)


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
