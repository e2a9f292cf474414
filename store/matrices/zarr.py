"""A matrix as Zarr v3 in a stored zip; chunks lie at one stride, so that `reader` maps an array as a whole."""

from __future__ import annotations

import contextlib
import math
import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidVectors
from store.files.zarr_documents import (
    CHECKSUM_BYTES,
    MAX_MEMBERS,
    array_document,
    check_zip_directory,
    chunk_name,
    chunk_parts,
    chunk_values,
    document_bytes,
    group_document,
    is_named,
    named_document,
    read_document,
    whole_chunks,
    write_member,
    zip_entry,
)
from store.items.vectors import VECTOR_TYPES
from store.matrices.arrays import DIMENSION_NAMES, MappedVectors, stated_arrays
from store.matrices.contents import Content, Ids, MatrixBlock, MatrixHeader, check_version, little_endian
from store.trust.verified import FileStamp

_ALIGNMENT = 64  # one cache line, and a multiple of every number's size
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_EXTRA_HEADER = struct.Struct("<HH")
_EXTRA_PADDING = 0xD935  # the extra field that zipalign made known for padding
_LONGEST_NUMBER = 20
# From 2 GB / 1.05 on, zipfile would write 64-bit sizes and so shift the payload.
_MAX_CHUNK_BYTES = 2_000_000_000
# The group's document, and document and values of ids, offsets, missing vector and both masks.
_OTHER_MEMBERS = 1 + 2 * 5


def most_chunks(arrays: int, members: int = MAX_MEMBERS) -> int:
    """Count the chunks that each of so many arrays may have in a zip whose members a reader still takes."""
    return (members - _OTHER_MEMBERS - arrays) // arrays


class ZarrMatrixWriter:
    """Writes one matrix to `path`, group of rows after group of rows; `close` gives it its attributes."""

    def __init__(self, path: Path, header: MatrixHeader, ids: Ids, chunk_rows: int) -> None:
        self._rows, self._chunk_rows = len(header.ids), chunk_rows
        vectors = _Rows("vectors", (header.dim,), header.dtype)
        # In the order of their names, so that equal content gives equal bytes.
        others = sorted(header.arrays, key=lambda each: each.name)
        self._arrays = [vectors, *(_Rows(each.name, each.shape, each.dtype) for each in others)]
        self._small: dict[str, NDArray[Any]] = {
            "ids_utf8": ids.utf8,
            "ids_offsets": ids.offsets,
            "missing_vector": header.missing_vector.astype(vectors.dtype),
        }
        self._present: list[NDArray[np.bool_]] = []
        self._ok: list[NDArray[np.bool_]] = []
        self._base = -1
        self._chunks = 0
        self._offsets, self._stride = _slots(self._arrays, chunk_rows)
        self._file = path.open("wb")
        self._archive = zipfile.ZipFile(self._file, "w")

    def write(self, group: MatrixBlock) -> None:
        """Write the next chunk of each array; only the last may have fewer rows, and is padded."""
        given = {"vectors": group.vectors, **group.arrays}
        for array in self._arrays:
            values = given[array.name]
            if len(values) < self._chunk_rows:
                values = np.zeros((self._chunk_rows, *array.shape), dtype=array.dtype)
                values[: len(group.present)] = given[array.name]
            self._put_aligned(array, *chunk_parts(values))
        self._chunks += 1
        self._present.append(group.present)
        self._ok.append(group.ok)

    def close(self, attributes: dict[str, Any]) -> None:
        """Write the small arrays and, last of all, the attributes."""
        none = [np.zeros(0, dtype=bool)]
        self._small["present"] = np.concatenate(self._present or none)
        self._small["ok"] = np.concatenate(self._ok or none)
        for array in self._arrays:
            self._put(f"{array.name}/zarr.json", document_bytes(array.named(self._rows, self._chunk_rows)))
        for name, values in sorted(self._small.items()):
            document = array_document(values.shape, whole_chunks(values.shape), values.dtype)
            self._put(f"{name}/zarr.json", document_bytes(named_document(document, DIMENSION_NAMES[name])))
            if values.size:
                self._put(chunk_name(name, 1), *chunk_parts(values))
        self._put("zarr.json", document_bytes(group_document(attributes)))
        self._archive.close()
        self._file.close()

    def abandon(self) -> None:
        """Let go of the file after an error; what it holds is worthless."""
        # On a full disk closing fails once more, and would hide the first error.
        with contextlib.suppress(OSError, ValueError):
            self._archive.close()
        with contextlib.suppress(OSError):
            self._file.close()

    def _put(self, name: str, *parts: bytes | memoryview) -> None:
        write_member(self._archive, zip_entry(name), *parts)

    def _put_aligned(self, array: _Rows, *parts: bytes | memoryview) -> None:
        name = array.chunk(self._chunks)
        entry = zip_entry(name)
        shortest = self._file.tell() + _LOCAL_HEADER.size + len(name) + _EXTRA_HEADER.size
        if self._base < 0:
            self._base = _round_up(shortest)
        padding = self._base + self._chunks * self._stride + self._offsets[array.name] - shortest
        entry.extra = _EXTRA_HEADER.pack(_EXTRA_PADDING, padding) + bytes(padding)
        write_member(self._archive, entry, *parts)


class _Rows:
    """An array of the file that grows row by row, and its names in the zip."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self.name, self.shape, self.dtype = name, shape, little_endian(dtype)
        self.row_bytes = math.prod(shape) * self.dtype.itemsize

    def chunk(self, number: int) -> str:
        """Name a chunk."""
        return chunk_name(self.name, 1 + len(self.shape), number)

    def document(self, rows: int, chunk_rows: int) -> dict[str, Any]:
        """Describe the array, but for the names of its dimensions."""
        return array_document((rows, *self.shape), (chunk_rows, *self.shape), self.dtype)

    def named(self, rows: int, chunk_rows: int) -> dict[str, Any]:
        """Describe it with the names."""
        return named_document(self.document(rows, chunk_rows), DIMENSION_NAMES[self.name])

    def is_document(self, found: dict[str, Any], rows: int, chunk_rows: int) -> bool:
        """Tell whether a document describes this array."""
        return is_named(found, self.document(rows, chunk_rows), DIMENSION_NAMES[self.name])


def _slots(arrays: list[_Rows], chunk_rows: int) -> tuple[dict[str, int], int]:
    """Give where each array's chunk lies within a group of chunks, and how far it is from one group to the next."""
    longest_name = max(len(array.chunk(0)) for array in arrays) - 1 + _LONGEST_NUMBER
    offsets, at = {}, 0
    for array in arrays:
        size = chunk_rows * array.row_bytes + CHECKSUM_BYTES
        if size > _MAX_CHUNK_BYTES:
            raise InvalidVectors(
                f"expected blocks of {chunk_rows} rows under {_MAX_CHUNK_BYTES} bytes, found {size} with "
                f"dimension {math.prod(array.shape)}; write an .h5 matrix"
            )
        offsets[array.name] = at
        at += _round_up(_LOCAL_HEADER.size + longest_name + _EXTRA_HEADER.size + size)
    return offsets, at


def read(path: Path) -> Content:
    """Map a matrix, refusing every structure that `ZarrMatrixWriter` does not write.

    Raises
    ------
    ValueError
        When it is not such a file, or another tool packed it anew.
    """
    with path.open("rb") as file:
        stamp = FileStamp.of(file.fileno())  # before anything that it vouches for is read
        try:
            check_zip_directory(file)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # an empty file is a ValueError
            with zipfile.ZipFile(file) as archive:
                return _Reader(archive, mapped, stamp).content()
        except (zipfile.BadZipFile, OSError, KeyError, TypeError, RuntimeError, EOFError, struct.error) as error:
            raise ValueError(f"expected a whole zip, found one that cannot be read ({error})") from error


class _Reader:
    """Checks an open zip member by member."""

    def __init__(self, archive: zipfile.ZipFile, mapped: mmap.mmap, stamp: FileStamp) -> None:
        self._archive, self._mapped, self._stamp = archive, mapped, stamp
        entries = archive.infolist()
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise ValueError("expected each member once, found one twice")
        if any(e.compress_type != zipfile.ZIP_STORED or e.compress_size != e.file_size for e in entries):
            raise ValueError("expected stored members, found compressed ones, as other tools pack them")

    def content(self) -> Content:
        """Give all arrays and attributes."""
        root = self._document("zarr.json")
        attributes = root.get("attributes")
        if not isinstance(attributes, dict) or root != group_document(attributes):
            raise ValueError("expected a plain Zarr v3 group, found other metadata")
        check_version(attributes.get("min_reader"))
        rows, dim, dtype, chunk_rows = self._layout()
        stated = self._stated(attributes, rows, chunk_rows)
        arrays = [_Rows("vectors", (dim,), dtype), *stated]
        chunks = -(-rows // chunk_rows)
        if chunks > len(self._entries):
            raise ValueError(f"expected {chunks} chunks, found fewer")
        names = {"zarr.json", *(f"{array.name}/zarr.json" for array in arrays)}
        names |= {array.chunk(number) for array in arrays for number in range(chunks)}
        (total,) = self._document("ids_utf8/zarr.json")["shape"]  # held against the whole document below
        small = {}
        for name, length, kind in (
            ("ids_utf8", total, "uint8"),
            ("ids_offsets", rows + 1, "int64"),
            ("missing_vector", dim, dtype),
            ("present", rows, "bool"),
            ("ok", rows, "bool"),
        ):
            small[name] = self._array(name, length, kind)
            names |= {f"{name}/zarr.json", chunk_name(name, 1)} if length else {f"{name}/zarr.json"}
        if names != self._entries.keys():
            odd = sorted(names ^ self._entries.keys())[0]
            raise ValueError(f"expected the members of a matrix with all chunks, found {odd!r} missing or too many")
        vectors, *others = (MappedVectors(self._mapped_chunks(array, chunks, chunk_rows), rows) for array in arrays)
        beside = {array.name: values for array, values in zip(stated, others, strict=True)}
        ids = Ids(small["ids_utf8"], small["ids_offsets"])
        masks = small["present"], small["ok"]
        return Content(vectors, ids, *masks, small["missing_vector"], attributes, self._stamp, beside)

    def _stated(self, attributes: dict[str, Any], rows: int, chunk_rows: int) -> list[_Rows]:
        """Give the arrays that the attributes state, each held against its own metadata."""
        arrays = [_Rows(each.name, each.shape, each.dtype) for each in stated_arrays(attributes)]
        for array in arrays:
            if not array.is_document(self._document(f"{array.name}/zarr.json"), rows, chunk_rows):
                raise ValueError(f"expected {array.name!r} as the attributes state it, found other metadata")
        return arrays

    def _layout(self) -> tuple[int, int, str, int]:
        document = self._document("vectors/zarr.json")
        try:
            rows, dim = document["shape"]
            chunk_rows, _ = document["chunk_grid"]["configuration"]["chunk_shape"]
            dtype = document["data_type"]
        except (TypeError, ValueError) as error:
            raise ValueError("expected vectors of two dimensions, found other metadata") from error
        sizes = all(type(size) is int and size >= 0 for size in (rows, dim, chunk_rows)) and dim and chunk_rows
        if not sizes or dtype not in VECTOR_TYPES:
            raise ValueError(f"expected vectors in {' or '.join(VECTOR_TYPES)}, found other metadata")
        if not _Rows("vectors", (dim,), dtype).is_document(document, rows, chunk_rows):
            raise ValueError("expected plain vectors, found other metadata")
        return rows, dim, dtype, chunk_rows

    def _mapped_chunks(self, array: _Rows, chunks: int, chunk_rows: int) -> NDArray[Any]:
        """Give all chunks as one view [chunks, chunk_rows, ...]."""
        shape, size = (chunk_rows, *array.shape), chunk_rows * array.row_bytes
        if not chunks:
            return np.zeros((0, *shape), dtype=array.dtype)
        starts = [self._payload(array.chunk(number), size + CHECKSUM_BYTES) for number in range(chunks)]
        stride = starts[1] - starts[0] if chunks > 1 else _round_up(size)
        if starts != [starts[0] + c * stride for c in range(chunks)] or starts[0] % _ALIGNMENT or stride % _ALIGNMENT:
            raise ValueError("expected chunks at one stride, found others, as other tools pack them")
        within = np.empty(shape[1:], array.dtype).strides
        return np.ndarray((chunks, *shape), array.dtype, self._mapped, starts[0], (stride, array.row_bytes, *within))

    def _payload(self, name: str, size: int) -> int:
        """Find where a member's bytes begin, having checked that all of them lie in the file."""
        entry = self._entries[name]
        header = self._mapped[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        name_length, extra_length = _LOCAL_HEADER.unpack(header)[-2:]
        start = int(entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
        if entry.file_size != size or start + size > len(self._mapped):
            raise ValueError(f"expected {size} bytes in {name}, found {entry.file_size}")
        return start

    def _array(self, name: str, length: int, dtype: str) -> NDArray[Any]:
        document = array_document((length,), whole_chunks((length,)), dtype)
        if not is_named(self._document(f"{name}/zarr.json"), document, DIMENSION_NAMES[name]):
            raise ValueError(f"expected {length} numbers of {dtype} in {name!r}, found other metadata")
        if not length:
            return np.zeros(0, dtype=dtype)
        return chunk_values(self._archive.read(chunk_name(name, 1)), (length,), dtype)

    def _document(self, name: str) -> dict[str, Any]:
        return read_document(self._archive, self._entries[name])


def _round_up(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
