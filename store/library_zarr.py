"""Reads a Zarr matrix through the zarr package: one that was packed anew (zstd, gzip, other chunks), or lies far away.

`array_layout` says which metadata is allowed. What a chunk claims to unpack to is checked before zarr may do it, and
every chunk must be there: zarr reads a lost one as its fill value. So who packs with zarr sets ``write_empty_chunks``,
or it leaves out a chunk of nothing but that value; and gives the group its attributes at once, or one member is twice.
"""

from __future__ import annotations

import itertools
import struct
import zipfile
from typing import IO, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import Buffer, cpu

from store.caps import check_chunks, check_sizes, check_zip_directory
from store.matrix_arrays import MatrixArray, stated_arrays
from store.matrix_parts import Content, Ids, check_version
from store.rows import VECTOR_TYPES
from store.vectors import PieceVectors, close_with
from store.verified import FileStamp
from store.zarr_documents import document_bytes, group_document, read_document
from store.zarr_layout import ArrayLayout, array_layout

_NAMES = ("vectors", "ids_utf8", "ids_offsets", "missing_vector", "present", "ok")
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (zipfile.BadZipFile, OSError, KeyError, TypeError, RuntimeError, EOFError, struct.error)


def read(stream: IO[bytes], stamp: FileStamp | None) -> Content:
    """Open a matrix in a file that stays open as long as its vectors are used.

    Raises
    ------
    ValueError
        When it is not a matrix, or packed in a way that is not allowed.
    """
    try:
        check_zip_directory(stream)
        archive = zipfile.ZipFile(stream)
        content = _content(archive, stamp)
    except _UNREADABLE as error:
        raise ValueError(f"expected a whole zip, found one that cannot be read ({error})") from error
    close_with(content.vectors, archive, stream)
    return content


def _content(archive: zipfile.ZipFile, stamp: FileStamp | None) -> Content:
    entries = _entries(archive)
    root = read_document(archive, entries["zarr.json"])
    attributes = root.get("attributes")
    if not isinstance(attributes, dict) or root != group_document(attributes):
        raise ValueError("expected a plain Zarr v3 group, found other metadata")
    check_version(attributes.get("min_reader"))
    stated = stated_arrays(attributes)
    names = [*_NAMES, *(each.name for each in stated)]
    layouts = {name: array_layout(read_document(archive, entries[f"{name}/zarr.json"])) for name in names}
    rows, dim = _check_layouts(layouts, stated)
    arrays = {name: _Guarded(archive, entries, name, layout) for name, layout in layouts.items()}
    expected = {"zarr.json"}.union(*(array.members for array in arrays.values()))
    if expected != entries.keys():
        odd = sorted(expected ^ entries.keys())[0]
        raise ValueError(f"expected the members of a matrix with all their chunks, found {odd!r} missing or too many")
    id_bytes = layouts["ids_utf8"].shape[0]
    check_sizes(rows, dim, id_bytes, sum(entries[chunk].compress_size for chunk in arrays["ids_utf8"].chunks))
    small = {name: arrays[name].read(0, layouts[name].shape[0]) for name in _NAMES[1:]}
    ids = Ids(small["ids_utf8"], small["ids_offsets"])
    pieces = {name: arrays[name].pieces() for name in names if name not in small}
    masks = small["present"], small["ok"]
    return Content(pieces.pop("vectors"), ids, *masks, small["missing_vector"], attributes, stamp, pieces)


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    # Zip tools note folders too.
    members = [entry for entry in archive.infolist() if not (entry.is_dir() and not entry.file_size)]
    entries = {entry.filename: entry for entry in members}
    if len(entries) != len(members):
        raise ValueError("expected each member once, found one twice")
    if any(entry.compress_type not in _COMPRESSIONS for entry in members):
        raise ValueError("expected members stored or deflated, found others")
    return entries


def _check_layouts(layouts: dict[str, ArrayLayout], stated: list[MatrixArray]) -> tuple[int, int]:
    """Hold the arrays against each other and give rows and dimension."""
    shape, dtype = layouts["vectors"].shape, layouts["vectors"].dtype
    if len(shape) != 2 or dtype not in VECTOR_TYPES:
        raise ValueError(
            f"expected vectors of two dimensions in {' or '.join(VECTOR_TYPES)}, found {dtype} {list(shape)}"
        )
    rows, dim = shape
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "ids_utf8": (layouts["ids_utf8"].shape[:1], "uint8"),
        "ids_offsets": ((rows + 1,), "int64"),
        "missing_vector": ((dim,), dtype),
        "present": ((rows,), "bool"),
        "ok": ((rows,), "bool"),
        **{each.name: ((rows, *each.shape), each.dtype) for each in stated},
    }
    for name, (shape, kind) in expected.items():
        if layouts[name].shape != shape or layouts[name].dtype != kind:
            raise ValueError(f"expected {name!r} as {kind} {list(shape)}, found {layouts[name]}")
    return rows, dim


class _Guarded:
    """An array whose chunks are checked before zarr sees them."""

    def __init__(
        self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], name: str, layout: ArrayLayout
    ) -> None:
        check_chunks(layout.chunk_bytes, layout.count)
        self._archive, self._entries, self._name, self._layout = archive, entries, name, layout
        self.chunks = set(self._names(0, layout.shape[0]))
        self.members = {f"{name}/zarr.json", *self.chunks}
        self._sound: set[str] = set()

    def _names(self, start: int, stop: int) -> list[str]:
        rows, others = self._layout.chunks[0], self._layout.grid[1:]
        numbers = itertools.product(range(start // rows, -(-stop // rows)), *map(range, others))
        return ["/".join([self._name, "c", *map(str, number)]) for number in numbers]

    def pieces(self) -> PieceVectors:
        """Give its rows, to be read later."""
        layout = self._layout
        return PieceVectors(layout.shape, np.dtype(layout.dtype), layout.chunks[0], self.read, "zarr")

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read whole rows of chunks."""
        if start == stop:
            return np.zeros((0, *self._layout.shape[1:]), dtype=self._layout.dtype)
        try:
            packed = {name: self._chunk(name) for name in self._names(start, stop)}
            packed[f"{self._name}/zarr.json"] = document_bytes(self._layout.document)
            members: dict[str, Buffer] = {name: cpu.Buffer.from_bytes(data) for name, data in packed.items()}
            store = zarr.storage.MemoryStore(members, read_only=True)
            array = zarr.open_array(store, path=self._name, mode="r", zarr_format=3)
            return np.asarray(array[start:stop])
        except _UNREADABLE as error:
            raise ValueError(f"expected whole chunks of {self._name!r}, found others ({error})") from error

    def _chunk(self, name: str) -> bytes:
        entry = self._entries[name]
        if entry.file_size > self._layout.most_packed_bytes:
            raise ValueError(f"expected at most {self._layout.most_packed_bytes} bytes, found {entry.file_size}")
        data = self._archive.read(entry)
        if name not in self._sound:
            self._layout.check_packed(data)
            self._sound.add(name)
        return data
