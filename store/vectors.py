"""How the rows of an array of an open matrix are reached: mapped from the file, or piece by piece through a library.

The formats make one of the two, and `matrix_reader` asks either in the same way.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from store.caps import check_chunks
from store.rows import Rows

Reader = Literal["mapped", "zarr", "h5py"]
_PIECE_BYTES = 4 << 20


class Repacked(ValueError):  # noqa: N818 (no error for the user: it hands a file on to the library's reader)
    """A file that may hold a matrix, but not in the one storage that can be mapped."""


class Vectors(Protocol):
    """Rows [N, ...] of a stored dtype, vectors [N, D] or others; callers ask only for rows that exist.

    Attributes
    ----------
    shape : tuple of int
        N, then the shape of one row.
    dtype : numpy.dtype
    reader : {"mapped", "zarr", "h5py"}
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    reader: Reader

    def rows(self, wanted: NDArray[np.integer[Any]]) -> Rows:
        """Copy rows [n, ...] in any order."""

    def block(self, start: int, stop: int) -> Rows:
        """Copy consecutive rows [stop - start, ...]."""

    def pieces(self) -> Iterator[Rows]:
        """Give all rows in order, cut as suits the file; what is given may be read only, and only till the next."""


class MappedVectors:
    """Rows in a mapped file: equal chunks at one stride are one array to numpy.

    Parameters
    ----------
    chunks : ndarray, shape [chunks, rows of a chunk, ...]
        A view of the file; rows past the end are padding.
    rows : int
    """

    reader: Reader = "mapped"

    def __init__(self, chunks: Rows, rows: int) -> None:
        self.chunks = chunks
        self.shape: tuple[int, ...] = (rows, *chunks.shape[2:])
        self.dtype = chunks.dtype
        # Copied in such pieces, new memory is written while it is still in the processor's cache.
        self._most = max(1, _PIECE_BYTES // (math.prod(self.shape[1:]) * self.dtype.itemsize))

    def rows(self, wanted: NDArray[np.integer[Any]]) -> Rows:
        """Copy rows [n, ...] in any order."""
        if len(self.chunks) == 1:
            only: Rows = self.chunks[0][wanted]
            return only
        chunk, row = np.divmod(wanted, self.chunks.shape[1])
        found: Rows = self.chunks[chunk, row]
        return found

    def block(self, start: int, stop: int) -> Rows:
        """Copy consecutive rows [stop - start, ...]."""
        block = np.empty((stop - start, *self.shape[1:]), dtype=self.dtype)
        done = 0
        for view in self._views(start, stop):
            block[done : done + len(view)] = view
            done += len(view)
        return block

    def pieces(self) -> Iterator[Rows]:
        """Give all rows in order, without a copy."""
        return self._views(0, self.shape[0])

    def _views(self, start: int, stop: int) -> Iterator[Rows]:
        size = self.chunks.shape[1]
        while start < stop:
            chunk, row = divmod(start, size)
            n = min(stop - start, size - row, self._most)
            yield self.chunks[chunk, row : row + n]
            start += n


class PieceVectors:
    """Rows that a library unpacks: some chunks at a time are held, never the whole file.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    chunk_rows : int
        Rows that the file keeps together; a piece is some of these.
    read : callable
        Gives the rows from start to stop, always whole pieces; raises what means a damaged or unreachable file.
    reader : {"zarr", "h5py"}
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        chunk_rows: int,
        read: Callable[[int, int], Rows],
        reader: Reader,
    ) -> None:
        self.shape, self.dtype, self.reader = shape, dtype, reader
        self._read = read
        chunk_bytes = chunk_rows * math.prod(shape[1:]) * dtype.itemsize
        check_chunks(chunk_bytes, 1)  # columns too may be cut: each chunk is small then, and whole rows are not
        self._piece_rows = chunk_rows * max(1, _PIECE_BYTES // chunk_bytes)
        self._lock = threading.Lock()
        self._held: tuple[int, Rows] = (-1, np.empty((0, *shape[1:]), dtype))

    def rows(self, wanted: NDArray[np.integer[Any]]) -> Rows:
        """Copy rows [n, ...] in any order; each piece is unpacked once, so one large request beats many small ones."""
        found = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        piece, row = np.divmod(wanted, self._piece_rows)
        order = np.argsort(piece, kind="stable")
        pieces, firsts = np.unique(piece[order], return_index=True)
        for number, places in zip(pieces, np.split(order, firsts[1:]), strict=True):
            found[places] = self._piece(int(number))[row[places]]
        return found

    def block(self, start: int, stop: int) -> Rows:
        """Copy consecutive rows [stop - start, ...]."""
        block = np.empty((stop - start, *self.shape[1:]), dtype=self.dtype)
        at = start
        while at < stop:
            number, row = divmod(at, self._piece_rows)
            n = min(stop - at, self._piece_rows - row)
            block[at - start : at - start + n] = self._piece(number)[row : row + n]
            at += n
        return block

    def pieces(self) -> Iterator[Rows]:
        """Give all rows in order."""
        for number in range(-(-self.shape[0] // self._piece_rows)):
            yield self._piece(number)

    def _piece(self, number: int) -> Rows:
        # The last piece stays: who reads in order asks for it again when his blocks are cut otherwise.
        with self._lock:
            if self._held[0] != number:
                start = number * self._piece_rows
                stop = min(start + self._piece_rows, self.shape[0])
                self._held = (number, self._read(start, stop))
            return self._held[1]


def close_with(owner: object, *files: Any) -> None:
    """Close files, in this order, when their owner is no longer used."""
    weakref.finalize(owner, _close_all, files)


def _close_all(files: tuple[Any, ...]) -> None:
    for file in files:
        file.close()
