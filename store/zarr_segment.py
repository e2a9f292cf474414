"""A segment as Zarr v3 in a stored zip: three arrays of one chunk each; `segment` checks the digest first."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

from numpy.typing import NDArray

from store.key import KEY_BYTES
from store.plain_json import parse_document
from store.rows import VECTOR_TYPES
from store.segment_parts import ROW_DIGEST_BYTES, RawSegment, expected_shapes
from store.zarr_documents import (
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
