"""The rows of an array of an open matrix, mapped from its file; both formats give such ones to `matrix_reader`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.rows import Rows

_PIECE_BYTES = 4 << 20


class MappedVectors:
    """Rows [N, ...] of a stored dtype: equal chunks at one stride are one array to numpy.

    Callers ask only for rows that exist.

    Parameters
    ----------
    chunks : ndarray, shape [chunks, rows of a chunk, ...]
        A view of the file; rows past the end are padding.
    rows : int
    """

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
        """Give all rows in order, cut as suits the file and without a copy."""
        return self._views(0, self.shape[0])

    def _views(self, start: int, stop: int) -> Iterator[Rows]:
        size = self.chunks.shape[1]
        while start < stop:
            chunk, row = divmod(start, size)
            n = min(stop - start, size - row, self._most)
            yield self.chunks[chunk, row : row + n]
            start += n
