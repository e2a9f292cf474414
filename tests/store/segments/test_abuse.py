"""Segments whose names fit their bytes and whose content is not ours: refused before anything in them is believed."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from store import CorruptSegment, LocalBackend, Segment
from store.segments.segment import build_segment, read_segment


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
def test_a_zarr_file_of_another_make_is_refused(tmp_path, put_renamed, segment, abuse):
    _, data = build_segment("zarr.zip", segment)
    name = put_renamed("zarr.zip", rezip(data, ZARR_ABUSES[abuse]))
    with pytest.raises(CorruptSegment):
        read_segment(LocalBackend(tmp_path), ".", name)


def test_compressed_and_crowded_zips_are_refused(tmp_path, put_renamed, segment):
    crowded = rezip(build_segment("zarr.zip", segment)[1], lambda m: m.update({f"x{i}": b"" for i in range(1000)}))
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", b"0" * 1_000_000)
    for data in (crowded, compressed.getvalue(), b"PK", b"x" * 100):
        with pytest.raises(CorruptSegment):
            read_segment(LocalBackend(tmp_path), ".", put_renamed("zarr.zip", data))


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
def test_an_hdf5_file_of_another_make_is_refused(tmp_path, put_renamed, segment, abuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"s" * 10_000)
    data = altered_h5(segment, H5_ABUSES[abuse])
    with pytest.raises(CorruptSegment):
        read_segment(LocalBackend(tmp_path), ".", put_renamed("h5", data))


def test_repacking_alone_is_no_reason_to_refuse(tmp_path, put_renamed, segment):
    # The control of the two lists above: they are refused for what was changed, not for having been repacked.
    data = rezip(build_segment("zarr.zip", segment)[1], lambda members: members)
    np.testing.assert_array_equal(
        read_segment(LocalBackend(tmp_path), ".", put_renamed("zarr.zip", data)).vectors, segment.vectors
    )
    data = altered_h5(segment, stored(fletcher32=True, chunks=(20, 6)))
    np.testing.assert_array_equal(
        read_segment(LocalBackend(tmp_path), ".", put_renamed("h5", data)).vectors, segment.vectors
    )
