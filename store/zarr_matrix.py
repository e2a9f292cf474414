"""A matrix as Zarr v3 in a stored zip; its chunks lie at one stride, so that `matrix_reader` maps them as one array."""

from __future__ import annotations

import contextlib
import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.caps import check_zip_directory
from store.errors import InvalidVectors
from store.matrix_parts import Content, Ids, MatrixBlock, MatrixHeader, check_version, little_endian
from store.vectors import MappedVectors, Repacked
from store.verified import FileStamp
from store.zarr_documents import (
    CHECKSUM_BYTES,
    array_document,
    chunk_name,
    chunk_parts,
    chunk_values,
    document_bytes,
    group_document,
    read_document,
    whole_chunks,
    write_member,
    zip_entry,
)

_ALIGNMENT = 64  # one cache line, and a multiple of every number's size
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_EXTRA_HEADER = struct.Struct("<HH")
_EXTRA_PADDING = 0xD935  # the extra field that zipalign made known for padding
_LONGEST_CHUNK_NAME = len("vectors/c//0") + 20
# From 2 GB / 1.05 on, zipfile would write 64-bit sizes and so shift the payload.
_MAX_CHUNK_BYTES = 2_000_000_000


class ZarrMatrixWriter:
    """Writes one matrix to `path`, group of rows after group of rows; `close` gives it its attributes."""

    def __init__(self, path: Path, header: MatrixHeader, ids: Ids, chunk_rows: int) -> None:
        self._dim, self._chunk_rows = header.dim, chunk_rows
        self._document = _vectors_document(len(header.ids), header.dim, chunk_rows, header.dtype)
        self._dtype = little_endian(header.dtype)
        self._small: dict[str, NDArray[Any]] = {
            "ids_utf8": ids.utf8,
            "ids_offsets": ids.offsets,
            "missing_vector": header.missing_vector.astype(self._dtype),
        }
        self._present: list[NDArray[np.bool_]] = []
        self._ok: list[NDArray[np.bool_]] = []
        self._base = -1
        self._chunks = 0
        chunk = _chunk_size(chunk_rows, self._dim, self._dtype.itemsize)
        self._stride = _round_up(_LOCAL_HEADER.size + _LONGEST_CHUNK_NAME + _EXTRA_HEADER.size + chunk)
        self._file = path.open("wb")
        self._archive = zipfile.ZipFile(self._file, "w")

    def write(self, group: MatrixBlock) -> None:
        """Write the next chunk; only the last may have fewer rows, and is padded."""
        values = group.vectors
        if len(values) < self._chunk_rows:
            values = np.zeros((self._chunk_rows, self._dim), dtype=self._dtype)
            values[: len(group.vectors)] = group.vectors
        self._put_aligned(chunk_name("vectors", 2, self._chunks), *chunk_parts(values))
        self._chunks += 1
        self._present.append(group.present)
        self._ok.append(group.ok)

    def close(self, attributes: dict[str, Any]) -> None:
        """Write the small arrays and, last of all, the attributes."""
        none = [np.zeros(0, dtype=bool)]
        self._small["present"] = np.concatenate(self._present or none)
        self._small["ok"] = np.concatenate(self._ok or none)
        self._put("vectors/zarr.json", document_bytes(self._document))
        for name, values in sorted(self._small.items()):
            document = array_document(values.shape, whole_chunks(values.shape), values.dtype)
            self._put(f"{name}/zarr.json", document_bytes(document))
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

    def _put_aligned(self, name: str, *parts: bytes | memoryview) -> None:
        entry = zip_entry(name)
        shortest = self._file.tell() + _LOCAL_HEADER.size + len(name) + _EXTRA_HEADER.size
        if self._base < 0:
            self._base = _round_up(shortest)
        padding = self._base + self._chunks * self._stride - shortest
        entry.extra = _EXTRA_HEADER.pack(_EXTRA_PADDING, padding) + bytes(padding)
        write_member(self._archive, entry, *parts)


def _chunk_size(rows: int, dim: int, itemsize: int) -> int:
    size = rows * dim * itemsize + CHECKSUM_BYTES
    if size > _MAX_CHUNK_BYTES:
        raise InvalidVectors(
            f"expected blocks of {rows} rows under {_MAX_CHUNK_BYTES} bytes, found {size} with dimension {dim}; "
            "write an .h5 matrix"
        )
    return size


def read(path: Path) -> Content:
    """Map a matrix, refusing every structure that `ZarrMatrixWriter` does not write.

    Raises
    ------
    Repacked
        When it is a zip of another structure, as another tool may have packed it.
    ValueError
        When it is not such a file.
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
            raise Repacked("expected stored members, found compressed ones")

    def content(self) -> Content:
        """Give all arrays and attributes."""
        root = self._document("zarr.json")
        attributes = root.get("attributes")
        if not isinstance(attributes, dict) or root != group_document(attributes):
            raise ValueError("expected a plain Zarr v3 group, found other metadata")
        check_version(attributes.get("min_reader"))
        rows, dim, dtype, chunk_rows = self._layout()
        chunks = -(-rows // chunk_rows)
        if chunks > len(self._entries):
            raise ValueError(f"expected {chunks} chunks, found fewer")
        names = {"zarr.json", "vectors/zarr.json", *(chunk_name("vectors", 2, c) for c in range(chunks))}
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
            raise Repacked("expected the members of a matrix, found others")
        vectors = MappedVectors(self._vectors(chunks, chunk_rows, dim, dtype), rows)
        ids = Ids(small["ids_utf8"], small["ids_offsets"])
        masks = small["present"], small["ok"]
        return Content(vectors, ids, *masks, small["missing_vector"], attributes, self._stamp)

    def _layout(self) -> tuple[int, int, str, int]:
        document = self._document("vectors/zarr.json")
        try:
            rows, dim = document["shape"]
            chunk_rows, _ = document["chunk_grid"]["configuration"]["chunk_shape"]
            dtype = document["data_type"]
        except (TypeError, ValueError) as error:
            raise ValueError("expected vectors of two dimensions, found other metadata") from error
        sizes = all(type(size) is int and size >= 0 for size in (rows, dim, chunk_rows)) and dim and chunk_rows
        if not sizes or dtype not in ("float16", "float32"):
            raise ValueError("expected vectors in float16 or float32, found other metadata")
        if document != _vectors_document(rows, dim, chunk_rows, dtype):
            raise Repacked("expected plain vectors, found other metadata")
        return rows, dim, dtype, chunk_rows

    def _vectors(self, chunks: int, chunk_rows: int, dim: int, dtype: str) -> NDArray[Any]:
        kind = little_endian(dtype)
        size = chunk_rows * dim * kind.itemsize
        if not chunks:
            return np.zeros((0, chunk_rows, dim), dtype=kind)
        starts = [self._payload(chunk_name("vectors", 2, c), size + CHECKSUM_BYTES) for c in range(chunks)]
        stride = starts[1] - starts[0] if chunks > 1 else _round_up(size)
        if starts != [starts[0] + c * stride for c in range(chunks)] or starts[0] % _ALIGNMENT or stride % _ALIGNMENT:
            raise Repacked("expected chunks at one stride, found others")
        steps = (stride, dim * kind.itemsize, kind.itemsize)
        return np.ndarray((chunks, chunk_rows, dim), kind, self._mapped, starts[0], steps)

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
        if self._document(f"{name}/zarr.json") != array_document((length,), whole_chunks((length,)), dtype):
            raise Repacked(f"expected {length} numbers of {dtype} in {name!r}, found other metadata")
        if not length:
            return np.zeros(0, dtype=dtype)
        return chunk_values(self._archive.read(chunk_name(name, 1)), (length,), dtype)

    def _document(self, name: str) -> dict[str, Any]:
        return read_document(self._archive, self._entries[name])


def _vectors_document(rows: int, dim: int, chunk_rows: int, dtype: str) -> dict[str, Any]:
    return array_document((rows, dim), (chunk_rows, dim), dtype)


def _round_up(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
