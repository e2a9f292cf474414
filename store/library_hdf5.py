"""Reads an HDF5 matrix through h5py: one that was packed anew (deflate, shuffle, Fletcher-32), or lies far away.

What h5py would follow, allocate or unpack is checked before it may: filters by an exact list, chunks one by one.
"""

from __future__ import annotations

import math
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.caps import check_chunks, check_deflated, check_sizes, worst_packed
from store.hdf5_layout import check_members, dataset, make_content, unreadable
from store.matrix_parts import Content
from store.vectors import PieceVectors, close_with
from store.verified import FileStamp

_FLETCHER_BYTES = 4
_SHUFFLE = h5py.h5z.FILTER_SHUFFLE
_ZLIB = 15
_LONGEST_ATTRIBUTES = 1 << 28
# Rows of a contiguous dataset that are asked for at once: a request far away costs as much as a megabyte.
_REQUEST_BYTES = 1 << 20


def read(stream: IO[bytes], stamp: FileStamp | None) -> Content:
    """Open a matrix in a file that stays open as long as its vectors are used.

    Raises
    ------
    ValueError
        When it is not a matrix, or packed in a way that is not allowed.
    """
    with unreadable():
        file = h5py.File(stream, "r")
        try:
            content = _content(file, stamp)
        except BaseException:
            file.close()
            raise
    close_with(content.vectors, file, stream)
    return content


def _content(file: h5py.File, stamp: FileStamp | None) -> Content:
    check_members(file)
    _check_sizes(file)

    def fetch(name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        return _Guarded(file, name, shape, dtype).read(0, shape[0])

    def reach(name: str, shape: tuple[int, ...], dtype: str) -> PieceVectors:
        found = _Guarded(file, name, shape, dtype)
        return PieceVectors(shape, found.dtype, found.chunk_rows, found.read, "h5py")

    return make_content(file, fetch, reach, stamp)


def _check_sizes(file: h5py.File) -> None:
    """Hold all sizes that make_content relies on against the caps."""
    ids, (rows, dim) = file["ids_utf8"], file["vectors"].shape
    check_sizes(rows, dim, len(ids), ids.id.get_storage_size())
    if len(file["attributes_json"]) > _LONGEST_ATTRIBUTES:
        raise ValueError(f"expected attributes of bounded size, found {len(file['attributes_json'])} bytes")


class _Guarded:
    """A dataset whose chunks are looked at, each once, before h5py unpacks them."""

    def __init__(self, file: h5py.File, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self._dataset = dataset(file, name, shape, dtype)
        self.dtype = self._dataset.dtype
        self._filters = _filters(self._dataset, name)
        # By their first row, chunks not looked at yet: where each begins, which filters it left out, its bytes.
        self._unchecked: dict[int, list[tuple[tuple[int, ...], int, int]]] = {}
        row_bytes = math.prod(shape[1:]) * self.dtype.itemsize
        if self._dataset.chunks is None:
            self.chunk_rows = max(1, _REQUEST_BYTES // row_bytes)
            if self._dataset.size and self._dataset.id.get_offset() is None:
                raise ValueError(f"expected {self._dataset.nbytes} bytes for {name!r}, found none")
            return
        self.chunk_rows = self._dataset.chunks[0]
        self._chunk_bytes = math.prod(self._dataset.chunks) * self.dtype.itemsize
        self._list_chunks(name)

    def _list_chunks(self, name: str) -> None:
        counts = [-(-length // size) for length, size in zip(self._dataset.shape, self._dataset.chunks, strict=True)]
        expected = math.prod(counts)
        check_chunks(self._chunk_bytes, expected)
        found = self._dataset.id.get_num_chunks()
        if found != expected:  # one that was never written would read as zeros
            raise ValueError(f"expected {expected} chunks of {name!r}, found {found}")
        places = set()

        def note(chunk: Any) -> None:
            place = tuple(chunk.chunk_offset)
            places.add(place)
            self._unchecked.setdefault(place[0], []).append((place, chunk.filter_mask, chunk.size))

        self._dataset.id.chunk_iter(note)
        chunks = [chunk for row in self._unchecked.values() for chunk in row]
        if len(places) != expected or not all(self._has_sound_size(mask, size) for _, mask, size in chunks):
            raise ValueError(f"expected {expected} chunks of {self._chunk_bytes} bytes in {name!r}, found others")

    def _has_sound_size(self, mask: int, size: int) -> bool:
        """Judge by the list alone; only what deflate made may differ from its size unpacked, and is unpacked later."""
        if h5py.h5z.FILTER_DEFLATE in self._filters:
            return size <= worst_packed(self._chunk_bytes)
        return not mask and size == self._chunk_bytes + _FLETCHER_BYTES * len(set(self._filters) - {_SHUFFLE})

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read whole rows of chunks."""
        with unreadable():
            if h5py.h5z.FILTER_DEFLATE in self._filters:
                for first in range(start, stop, self.chunk_rows):
                    for chunk in self._unchecked.get(first, []):
                        self._check_chunk(*chunk)
                    self._unchecked.pop(first, None)
            return np.asarray(self._dataset[start:stop])

    def _check_chunk(self, place: tuple[int, ...], mask: int, size: int) -> None:
        """Unpack a chunk within its proper size: HDF5 itself would follow the stream as far as it goes."""
        at = self._filters.index(h5py.h5z.FILTER_DEFLATE)
        before, after = self._filters[:at], self._filters[at + 1 :]
        expected = self._chunk_bytes + _FLETCHER_BYTES * before.count(h5py.h5z.FILTER_FLETCHER32)
        found, data = self._dataset.id.read_direct_chunk(place)
        if found != mask or len(data) != size or mask & ~(1 << at):
            raise ValueError("expected a chunk through all its filters, found another")
        if after:
            data = data[:-_FLETCHER_BYTES]
        if mask:  # what deflate cannot shorten is stored as it is
            if len(data) != expected:
                raise ValueError(f"expected a chunk of {expected} bytes, found {len(data)}")
            return
        check_deflated(data, expected, _ZLIB)


def _filters(found: h5py.Dataset, name: str) -> list[int]:
    plan = found.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    shuffle, deflate, fletcher = _SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32
    once = len(set(filters)) == len(filters)
    last = filters[filters.index(deflate) + 1 :] if deflate in filters else []
    if not once or set(filters) - {shuffle, deflate, fletcher} or last not in ([], [fletcher]):
        raise ValueError(f"expected {name!r} with shuffle, deflate and Fletcher-32 at most, found filters {filters}")
    return filters
