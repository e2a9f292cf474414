"""The two formats of a segment: three arrays and a few attributes, and nothing else is accepted.

Zarr v3 in a stored zip, three arrays of one chunk each; or HDF5, three plain datasets with Fletcher-32. `segment`
holds the bytes against their digest before they are parsed here.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.files.plain_json import parse_document
from store.files.zarr_documents import (
    array_document,
    chunk_name,
    chunk_parts,
    chunk_values,
    document_bytes,
    group_document,
    whole_chunks,
    write_member,
    zip_entry,
)
from store.items.keys import KEY_BYTES
from store.items.vectors import VECTOR_TYPES, Rows

MAX_ROWS = 4_000_000
MAX_DIM = 1_000_000
ROW_DIGEST_BYTES = 8


@dataclass(frozen=True, eq=False)
class RawSegment:
    """A segment as the formats see it: arrays, and attributes that are numbers or strings."""

    keys: NDArray[np.uint8]  # [N, 32]
    vectors: Rows  # [N, D]
    row_digests: NDArray[np.uint8]  # [N, 8]
    attributes: dict[str, Any]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, in the order of their names."""
        return {"keys": self.keys, "row_digests": self.row_digests, "vectors": self.vectors}


def expected_shapes(rows: int, dim: int) -> dict[str, tuple[int, int]]:
    """Give the shape of each array, after checking that the sizes are sane.

    Raises
    ------
    ValueError
        When rows or dimension are out of bounds.
    """
    if not (0 < rows <= MAX_ROWS and 0 < dim <= MAX_DIM):
        raise ValueError(f"expected up to {MAX_ROWS} rows and {MAX_DIM} dimensions, found {rows} and {dim}")
    return {"keys": (rows, 32), "row_digests": (rows, 8), "vectors": (rows, dim)}


_ARRAYS = ("keys", "row_digests", "vectors")
_MEMBERS = sorted(["zarr.json", *[f"{a}/zarr.json" for a in _ARRAYS], *[chunk_name(a, 2) for a in _ARRAYS]])
_MAX_DOCUMENT_BYTES = 1 << 20
# The record that ends a zip without a comment, and the one before it that only zips over 4 GB need.
_END = struct.Struct("<4s4H2IH")
_END_SIGNATURE = b"PK\x05\x06"
_ZIP64_LOCATOR_BYTES = 20
_ZIP64_SIGNATURE = b"PK\x06\x07"
_MAX_DIRECTORY_BYTES = 4096
# The header that each member begins with.
_LOCAL = struct.Struct("<4s5H3I2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
# Headers, checksums and one small document among keys and row digests.
_HEAD_SPARE_BYTES = 4096


def build_zarr(segment: RawSegment) -> bytes:
    """Write a segment; equal content gives equal bytes."""
    members: dict[str, tuple[bytes | memoryview, ...]]
    members = {"zarr.json": (document_bytes(group_document(segment.attributes)),)}
    for name, values in segment.arrays().items():
        document = array_document(values.shape, whole_chunks(values.shape), values.dtype)
        members[f"{name}/zarr.json"] = (document_bytes(document),)
        members[chunk_name(name, 2)] = chunk_parts(values)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in sorted(members):
            write_member(archive, zip_entry(member), *members[member])
    return file.getvalue()


def parse_zarr(data: bytes, rows: int) -> RawSegment:
    """Read a segment of `rows` rows, refusing everything that `build_zarr` does not write.

    Raises
    ------
    ValueError
        When members, documents, sizes or checksums are not the expected ones.
    """
    members = _read_members(data)
    root = parse_document(members["zarr.json"])
    attributes = root.get("attributes")
    if not isinstance(attributes, dict) or root != group_document(attributes):
        raise ValueError("expected a plain Zarr v3 group, found other metadata")
    dim, dtype = _vector_type(parse_document(members["vectors/zarr.json"]))
    shapes = expected_shapes(rows, dim)
    arrays = {}
    for name, kind in (("keys", "uint8"), ("row_digests", "uint8"), ("vectors", dtype)):
        if parse_document(members[f"{name}/zarr.json"]) != array_document(shapes[name], shapes[name], kind):
            raise ValueError(f"expected array {name!r} of shape {shapes[name]}, plain, found other metadata")
        arrays[name] = chunk_values(members[chunk_name(name, 2)], shapes[name], kind)
    return RawSegment(arrays["keys"], arrays["vectors"], arrays["row_digests"], attributes)


def head_bytes(rows: int) -> int:
    """Give how many bytes from the start surely hold the keys and row digests of `rows` rows."""
    return rows * (KEY_BYTES + ROW_DIGEST_BYTES) + _HEAD_SPARE_BYTES


def parse_head(data: bytes, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read keys and row digests from the beginning of a segment alone, held against their own checksums.

    Parameters
    ----------
    data : bytes
        At least `head_bytes(rows)` bytes, or the whole segment.
    rows : int

    Returns
    -------
    keys : ndarray of uint8, shape [rows, 32]
    row_digests : ndarray of uint8, shape [rows, 8]

    Raises
    ------
    ValueError
        When it is not the beginning that `build_zarr` writes.
    """
    found: dict[str, bytes] = {}
    at = 0
    for expected in _MEMBERS[:3]:
        if len(data) < at + _LOCAL.size:
            raise ValueError("expected the beginning of a segment, found too few bytes")
        signature, _, flags, method, *_, size, name_length, extra_length = _LOCAL.unpack_from(data, at)
        start = at + _LOCAL.size + name_length + extra_length
        name = data[at + _LOCAL.size : at + _LOCAL.size + name_length]
        if (signature, flags, method, name) != (_LOCAL_SIGNATURE, 0, 0, expected.encode()) or start + size > len(data):
            raise ValueError(f"expected the stored member {expected}, found another")
        found[expected], at = data[start : start + size], start + size
    keys = chunk_values(found[chunk_name("keys", 2)], (rows, KEY_BYTES), "uint8")
    return keys, chunk_values(found[chunk_name("row_digests", 2)], (rows, ROW_DIGEST_BYTES), "uint8")


def _vector_type(document: dict[str, Any]) -> tuple[int, str]:
    shape, dtype = document.get("shape"), document.get("data_type")
    if not (isinstance(shape, list) and len(shape) == 2 and type(shape[1]) is int and dtype in VECTOR_TYPES):
        raise ValueError(f"expected vectors of two dimensions in {' or '.join(VECTOR_TYPES)}, found other metadata")
    return shape[1], str(dtype)


def _read_members(data: bytes) -> dict[str, bytes]:
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sorted(entry.filename for entry in entries) != _MEMBERS:
                raise ValueError("expected the members of a segment, found others")
            for entry in entries:
                stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
                if not stored or (entry.filename.endswith(".json") and entry.file_size > _MAX_DOCUMENT_BYTES):
                    raise ValueError("expected stored members of bounded size, found others")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
        raise ValueError(f"expected a stored zip, found one that cannot be read ({error})") from error


def _check_directory(data: bytes) -> None:
    """Bound the zip's directory before `zipfile` builds an object for each of its entries."""
    if len(data) < _END.size:
        raise ValueError("expected a zip, found too few bytes")
    signature, *_, size, _, comment = _END.unpack(data[-_END.size :])
    locator = data[-_END.size - _ZIP64_LOCATOR_BYTES : -_END.size]
    if signature != _END_SIGNATURE or comment or size > _MAX_DIRECTORY_BYTES or locator.startswith(_ZIP64_SIGNATURE):
        raise ValueError("expected a small zip without comment, found another")


_FILTER_BYTES = 4
_ATTRIBUTES = ("format_version", "min_reader", "fingerprint", "provenance")


def build_hdf5(segment: RawSegment) -> bytes:
    """Write a segment; equal content gives equal bytes.

    In memory, because h5py brings the whole process down when a disk is full.
    """
    file = io.BytesIO()
    with h5py.File(file, "w") as archive:
        for name, values in segment.arrays().items():
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            archive.create_dataset(name, data=little, chunks=values.shape, fletcher32=True, track_times=False)
        for name, value in sorted(segment.attributes.items()):
            archive.attrs[name] = value
    return file.getvalue()


def parse_hdf5(data: bytes, rows: int) -> RawSegment:
    """Read a segment of `rows` rows, refusing everything that `build_hdf5` does not write.

    Raises
    ------
    ValueError
        When members, links, layouts, sizes or checksums are not the expected ones.
    """
    try:
        with h5py.File(io.BytesIO(data), "r") as archive:
            return _parse_file(archive, rows)
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected an HDF5 segment, found one that cannot be read ({error})") from error


def _parse_file(archive: h5py.File, rows: int) -> RawSegment:
    if sorted(archive.keys()) != ["keys", "row_digests", "vectors"]:
        raise ValueError("expected the three arrays of a segment, found other members")
    for name in archive:
        # Looked at before the object is opened: other links can lead into other files.
        if type(archive.get(name, getlink=True)) is not h5py.HardLink:
            raise ValueError(f"expected {name!r} in the file itself, found a link")
    shape = archive["vectors"].shape
    if len(shape) != 2:
        raise ValueError(f"expected vectors of two dimensions, found {len(shape)}")
    shapes = expected_shapes(rows, int(shape[1]))
    arrays = {name: _read_plain(archive[name], name, shapes[name]) for name in shapes}
    attributes = {name: _plain(archive.attrs[name]) for name in _ATTRIBUTES if name in archive.attrs}
    return RawSegment(arrays["keys"], arrays["vectors"], arrays["row_digests"], attributes)


def _read_plain(dataset: object, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != shape or dataset.chunks != shape:
        raise ValueError(f"expected {name!r} as a dataset of shape {shape} in one chunk, found something else")
    allowed = VECTOR_TYPES if name == "vectors" else ("uint8",)
    if dataset.dtype.str not in {np.dtype(kind).newbyteorder("<").str for kind in allowed}:
        raise ValueError(f"expected {name!r} in {' or '.join(allowed)}, found {dataset.dtype}")
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if filters != [h5py.h5z.FILTER_FLETCHER32] or dataset.is_virtual or dataset.external:
        raise ValueError(f"expected {name!r} with Fletcher-32 and nothing else, found other filters or storage")
    # A chunk that was never written would read as zeros.
    stored = shape[0] * shape[1] * dataset.dtype.itemsize + _FILTER_BYTES
    if dataset.id.get_storage_size() != stored:
        raise ValueError(f"expected {stored} bytes for {name!r}, found {dataset.id.get_storage_size()}")
    return np.asarray(dataset[:])


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str) else None
