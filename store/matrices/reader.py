"""The reader of a matrix: rows by number, in blocks or all, checked against its digests; made by `opening`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.items.vectors import Rows, VectorType
from store.matrices.arrays import MappedVectors
from store.matrices.contents import BLOCK_ROWS, Content, MatrixBlock
from store.matrices.digest import ArrayDigest, MatrixDigest, check_blocks

_ITERATED_BYTES = 64 << 20


class Matrix:
    """Vectors aligned to a data set: row i belongs to the manifest's item i.

    Attributes
    ----------
    path : Path
    present : ndarray of bool, shape [N]
        Whether the item has this kind of content at all.
    ok : ndarray of bool, shape [N]
        Whether its vector could be computed.
    usable : ndarray of bool, shape [N]
        Both; other rows carry the missing vector.
    missing_vector : ndarray of float32, shape [D]
    dim : int
    dtype : {"float16", "float32", "uint8"}
    digest : str
        Of ids, masks, vectors and all other arrays; the same for a Zarr and an HDF5 file of equal content.
    attributes : dict
        The writer's and the caller's.
    arrays : dict of str to (tuple of int, str)
        What lies beside the vectors: shape of one row and dtype by name; see `read_array`.
    """

    def __init__(self, path: Path, content: Content, vouch: Callable[[Matrix, str], None] | None = None) -> None:
        self.path = path
        content.ids.check()
        self.present, self.ok = content.present, content.ok
        self.usable: NDArray[np.bool_] = content.present & content.ok
        self.missing_vector = content.missing_vector.astype(np.float32)
        self.attributes = content.attributes
        self.dim = content.vectors.shape[1]
        self.dtype: VectorType = content.attributes["dtype"]
        self.digest: str = content.attributes["digest"]
        self.arrays = {name: (each.shape[1:], each.dtype.name) for name, each in content.arrays.items()}
        self._content = content
        self._vectors = content.vectors
        # Called once for each of `arrays` before its first row is given.
        self._vouch = vouch
        self._vouched: set[str] = set()

    @functools.cached_property
    def ids(self) -> list[str]:
        """The items, one for each row; made when first asked for, since a str each takes longer than all vectors."""
        return self._content.ids.decode()

    def __len__(self) -> int:
        return len(self.present)

    def rows(self, indices: NDArray[np.integer[Any]]) -> Rows:
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
        """
        return self._gathered(self._vectors, indices)

    def _gathered(self, values: MappedVectors, indices: NDArray[np.integer[Any]]) -> Rows:
        wanted = np.asarray(indices)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise IndexError(
                f"expected row numbers as int [n], found {wanted.dtype} {list(wanted.shape)}; use numpy.flatnonzero"
            )
        if not wanted.size:
            return np.empty((0, *values.shape[1:]), dtype=values.dtype)
        if wanted.min() < 0 or wanted.max() >= len(self):
            raise IndexError(
                f"expected row numbers from 0 to {len(self) - 1}, found {wanted.min()} to {wanted.max()}; "
                "take them from this matrix's ids"
            )
        return values.rows(wanted)

    def block(self, start: int, stop: int) -> Rows:
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
        return self._vectors.block(start, stop)

    def __getitem__(self, rows: slice) -> Rows:
        """Copy the rows of a slice, whose ends are taken as numpy takes them.

        Raises
        ------
        TypeError
            For anything but a slice.
        """
        if not isinstance(rows, slice):
            raise TypeError(f"expected a slice, found {type(rows).__name__}; use Matrix.rows for row numbers")
        return self._sliced(self._vectors, rows)

    def _sliced(self, values: MappedVectors, rows: slice) -> Rows:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self._gathered(values, np.arange(start, stop, step))
        return values.block(start, max(start, stop))

    def read_array(self, name: str, rows: NDArray[np.integer[Any]] | slice) -> NDArray[Any]:
        """Copy rows of an array beside the vectors; the first time, hold the whole array against its digests.

        Parameters
        ----------
        name : str
            One of `arrays`.
        rows : ndarray of int, shape [n], or slice
            Row numbers as for `rows`, or a slice as numpy takes it.

        Returns
        -------
        ndarray of the stored dtype, shape [n, ...]
            Zeros, or False, in rows that are not usable.

        Raises
        ------
        KeyError
            When this matrix has no such array.
        IndexError
            When a row number is negative, too large or not a whole number.
        CorruptMatrix
            When the array does not match its digests.
        """
        values = self._array(name)
        return self._sliced(values, rows) if isinstance(rows, slice) else self._gathered(values, rows)

    def iter_array(self, name: str, size: int | None = None) -> Iterator[NDArray[Any]]:
        """Give all rows of an array in order, `size` at a time, or else as many as make 64 MB; otherwise `read_array`.

        Raises
        ------
        ValueError
            When `size` is not positive.
        """
        values = self._array(name)
        step = (
            max(1, _ITERATED_BYTES // (math.prod(values.shape[1:]) * values.dtype.itemsize)) if size is None else size
        )
        if step < 1:
            raise ValueError(f"expected a positive block size, found {step}; leave it out")
        for start in range(0, len(self), step):
            yield self._sliced(values, slice(start, start + step))

    def _array(self, name: str) -> MappedVectors:
        if name not in self.arrays:
            raise KeyError(f"expected an array of {self.path}, found {name!r}; there are {sorted(self.arrays)}")
        if self._vouch is not None and name not in self._vouched:
            self._vouch(self, name)
            self._vouched.add(name)
        return self._content.arrays[name]

    def iter_blocks(self, size: int = BLOCK_ROWS) -> Iterator[Rows]:
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
        """Read ids, masks and vectors once and compare them with their digests.

        What lies beside the vectors is not read: `verify_array` does. Its digests are covered here.

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
        whole, blocks = digest.finish(self.attributes["arrays"] if self.arrays else None)
        check_blocks(blocks, self.attributes["block_digests"])
        if whole != self.digest:
            raise ValueError(f"expected the digest {self.digest}, found {whole}")

    def verify_array(self, name: str) -> None:
        """Read an array beside the vectors once and compare it with its digests, for which `verify` vouches.

        Raises
        ------
        ValueError
            Naming the array and its first damaged block of rows.
        """
        digest = ArrayDigest()
        try:
            for values in self._content.arrays[name].pieces():
                digest.update(values)
            check_blocks(digest.finish(), self.attributes["arrays"][name].get("block_digests"))
        except ValueError as error:
            raise ValueError(f"array {name!r}: {error}") from error
