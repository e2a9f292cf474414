"""The reader of a matrix: rows by number, in blocks or all, checked against its digests; made by `matrix_opening`."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import CorruptMatrix
from store.matrix_digest import MatrixDigest
from store.matrix_parts import BLOCK_ROWS, Content, MatrixBlock
from store.rows import VectorType
from store.vectors import Reader


class Matrix:
    """Vectors aligned to a data set: row i belongs to the manifest's item i.

    Attributes
    ----------
    path : Path or str
    present : ndarray of bool, shape [N]
        Whether the item has this kind of content at all.
    ok : ndarray of bool, shape [N]
        Whether its vector could be computed.
    usable : ndarray of bool, shape [N]
        Both; other rows carry the missing vector.
    missing_vector : ndarray of float32, shape [D]
    dim : int
    dtype : {"float16", "float32"}
    digest : str
        Of ids, masks and vectors; the same for a Zarr and an HDF5 file of equal content.
    attributes : dict
        The writer's and the caller's.
    reader : {"mapped", "zarr", "h5py"}
        How the rows come: from the mapped file, or unpacked by the format's library, which is slower. Of a file that is
        not mapped, ask for many rows at once, or for all in order: what holds one row is unpacked as a whole.
    """

    def __init__(self, path: Path | str, content: Content) -> None:
        self.path = path
        content.ids.check()
        self.present, self.ok = content.present, content.ok
        self.usable: NDArray[np.bool_] = content.present & content.ok
        self.missing_vector = content.missing_vector.astype(np.float32)
        self.attributes = content.attributes
        self.dim = content.vectors.shape[1]
        self.dtype: VectorType = content.attributes["dtype"]
        self.digest: str = content.attributes["digest"]
        self.reader: Reader = content.vectors.reader
        self._content = content
        self._vectors = content.vectors

    @functools.cached_property
    def ids(self) -> list[str]:
        """The items, one for each row; made when first asked for, since a str each takes longer than all vectors."""
        return self._content.ids.decode()

    @property
    def mapped(self) -> bool:
        """Whether rows come straight from the mapped file, at the speed of numpy.memmap."""
        return self.reader == "mapped"

    def __len__(self) -> int:
        return len(self.present)

    def rows(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Gather rows.

        Parameters
        ----------
        indices : ndarray of int, shape [n]
            In any order, repeated at will; not negative.

        Returns
        -------
        ndarray of the stored dtype, shape [n, D]
            A copy.

        Raises
        ------
        IndexError
            When an index is negative, too large or not a whole number.
        CorruptMatrix
            When a file that is not mapped turns out to be damaged there, or cannot be reached; so with all that follow.
        """
        wanted = np.asarray(indices)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise IndexError(
                f"expected row numbers as int [n], found {wanted.dtype} {list(wanted.shape)}; use numpy.flatnonzero"
            )
        if not wanted.size:
            return np.empty((0, self.dim), dtype=self.dtype)
        if wanted.min() < 0 or wanted.max() >= len(self):
            raise IndexError(
                f"expected row numbers from 0 to {len(self) - 1}, found {wanted.min()} to {wanted.max()}; "
                "take them from this matrix's ids"
            )
        with self._readable():
            return self._vectors.rows(wanted)

    def block(self, start: int, stop: int) -> NDArray[np.floating[Any]]:
        """Copy consecutive rows.

        Returns
        -------
        ndarray of the stored dtype, shape [stop - start, D]

        Raises
        ------
        IndexError
            Unless 0 <= start <= stop <= len(self).
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"expected 0 <= start <= stop <= {len(self)}, found {start} and {stop}; clip them")
        with self._readable():
            return self._vectors.block(start, stop)

    def __getitem__(self, rows: slice) -> NDArray[np.floating[Any]]:
        """Copy the rows of a slice, whose ends are taken as numpy takes them.

        Raises
        ------
        TypeError
            For anything but a slice.
        """
        if not isinstance(rows, slice):
            raise TypeError(f"expected a slice, found {type(rows).__name__}; use Matrix.rows for row numbers")
        start, stop, step = rows.indices(len(self))
        return self.block(start, max(start, stop)) if step == 1 else self.rows(np.arange(start, stop, step))

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Name the file when a library finds it damaged after it was opened."""
        try:
            yield
        except ValueError as error:
            raise CorruptMatrix(
                f"matrix {self.path} cannot be read: {error}; fetch it again, or make it anew with `dvc repro`"
            ) from error

    def iter_blocks(self, size: int = BLOCK_ROWS) -> Iterator[NDArray[np.floating[Any]]]:
        """Give all rows in order, `size` at a time (the last block may be shorter).

        Raises
        ------
        ValueError
            When `size` is not positive.
        """
        if size < 1:
            raise ValueError(f"expected a positive block size, found {size}; use for example {BLOCK_ROWS}")
        for start in range(0, len(self), size):
            yield self.block(start, min(start + size, len(self)))

    def verify(self) -> None:
        """Read the whole file once and compare it with its digests.

        Raises
        ------
        ValueError
            Naming the first damaged block of rows.
        """
        digest = MatrixDigest(self._content.ids, self._content.missing_vector, self.dtype)
        start = 0
        for vectors in self._vectors.pieces():
            part = slice(start, start + len(vectors))
            start = part.stop
            digest.update(MatrixBlock(vectors, self.present[part], self.ok[part]))
        whole, blocks = digest.finish()
        stated = self.attributes["block_digests"]
        if blocks != stated:
            wrong = next((b for b, pair in enumerate(zip(blocks, stated, strict=False)) if pair[0] != pair[1]), 0)
            raise ValueError(f"rows {wrong * BLOCK_ROWS} and following do not match their digest")
        if whole != self.digest:
            raise ValueError(f"expected the digest {self.digest}, found {whole}")
