"""The few Zarr v3 documents and chunks that segments and matrices write and accept, spelled out.

They are written here and not by the zarr package so that equal content gives equal bytes under every version of it, and
so that a reader can compare a document as a whole before any parser of arrays sees the file. The tests hold them
against the zarr package itself.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

import google_crc32c
import numpy as np
from numpy.typing import DTypeLike, NDArray

from store.files.plain_json import parse_document

CHECKSUM_BYTES = 4
# The oldest date that a zip can hold: the real one would make equal content differ.
_DATE = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644 << 16
_UNIX = 3
_MAX_DOCUMENT_BYTES = 1 << 28
MAX_MEMBERS = 100_000
_DIRECTORY_BYTES_OF_A_MEMBER = 256
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_BYTES = 20


def group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the root group and its attributes."""
    return {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}


def array_document(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: DTypeLike) -> dict[str, Any]:
    """Describe one uncompressed array whose chunks end in a CRC-32C.

    Parameters
    ----------
    shape, chunks : tuple of int
        The whole and one chunk; a chunk is never empty.
    dtype : DTypeLike
        bool, uint8, int64, float16 or float32.
    """
    kind = np.dtype(dtype)
    little: dict[str, Any] = {"name": "bytes"}
    if kind.itemsize > 1:
        little["configuration"] = {"endian": "little"}
    fill: object = {"f": "NaN", "b": False}.get(kind.kind, 0)  # a chunk that got lost must not read as numbers
    return {
        "shape": list(shape),
        "data_type": kind.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [little, {"name": "crc32c"}],
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def named_document(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Give each dimension of an array its name, by which xarray and the like align arrays."""
    return {**document, "dimension_names": list(names)}


def is_named(found: Mapping[str, Any], document: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Tell whether a document read is the one expected, with its names or, as before there were any, without."""
    return found in (document, named_document(document, names))


def whole_chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the single chunk that holds an array as a whole."""
    return tuple(max(1, length) for length in shape)


def chunk_name(array: str, dimensions: int, number: int = 0) -> str:
    """Name a chunk's file: `number` counts along the first dimension."""
    return "/".join([array, "c", str(number), *["0"] * (dimensions - 1)])


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Write a document as JSON, always in the same way."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1).encode()


def chunk_parts(values: NDArray[Any]) -> tuple[memoryview, bytes]:
    """Encode one chunk without copying it: little-endian values, and their CRC-32C, which follows them."""
    flat = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
    frozen = flat.view()
    frozen.flags.writeable = False  # the checksum takes nothing that may change
    return flat.data, struct.pack("<I", google_crc32c.value(frozen))


def write_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, *parts: bytes | memoryview) -> None:
    """Write a stored member from several parts, as `writestr` would write them joined."""
    entry.file_size = sum(len(part) for part in parts)
    with archive.open(entry, "w") as member:
        for part in parts:
            member.write(part)


def chunk_values(data: bytes, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Decode one chunk that holds an array as a whole.

    Raises
    ------
    ValueError
        When the size or the CRC-32C is not right.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    expected = kind.itemsize * int(np.prod(shape, dtype=object)) + CHECKSUM_BYTES
    if len(data) != expected:
        raise ValueError(f"expected a chunk of {expected} bytes, found {len(data)}")
    values = data[:-CHECKSUM_BYTES]
    if struct.unpack("<I", data[-CHECKSUM_BYTES:])[0] != google_crc32c.value(values):
        raise ValueError("expected the chunk's CRC-32C to match its values, found another")
    return np.frombuffer(values, dtype=kind).reshape(shape)


def read_document(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> dict[str, Any]:
    """Read one document of an archive that others may have written.

    Raises
    ------
    ValueError
        When it is too large or not a JSON object.
    """
    if entry.file_size > _MAX_DOCUMENT_BYTES:
        raise ValueError(f"expected a document of bounded size in {entry.filename}, found {entry.file_size} bytes")
    return parse_document(archive.read(entry))


def check_zip_directory(file: IO[bytes], most: int = MAX_MEMBERS) -> None:
    """Look at the end of a zip, before `zipfile` makes an object of each member.

    Raises
    ------
    ValueError
        When there is no end, a comment, or too many members.
    """
    file.seek(max(0, file.seek(0, 2) - _END.size - _LOCATOR_BYTES - _END_64.size))
    tail = file.read()
    if tail[-_END.size :][:4] != b"PK\x05\x06":
        raise ValueError("expected a whole zip without a comment, found no end of one")
    *_, members, size, _, _ = _END.unpack(tail[-_END.size :])
    # A large zip has a second end before its end; `zipfile` too looks for it there.
    if tail[_END_64.size :].startswith(b"PK\x06\x07") and tail.startswith(b"PK\x06\x06"):
        *_, members, size, _ = _END_64.unpack(tail[: _END_64.size])
    if members > most or size > most * _DIRECTORY_BYTES_OF_A_MEMBER:
        raise ValueError(f"expected at most {most} members, found {members} in a directory of {size} bytes")


def zip_entry(name: str) -> zipfile.ZipInfo:
    """Describe a stored zip member with fixed date, mode and system."""
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_STORED
    entry.external_attr = _FILE_MODE
    entry.create_system = _UNIX
    return entry
