"""The arrays of a matrix: tokens, maps and regions beside its vectors, and the rows of each as the file is mapped.

`contents` takes them into a header and a block; docs/decisions/0007 says why they lie where they lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.items.vectors import VECTOR_TYPES, Rows

# What is written at once of one array, and what one chunk of it holds: a row may not be larger.
GROUP_BYTES = 64 << 20
# Dimensions of one row.
_DIMENSIONS = {"tokens": 2, "token_mask": 1, "map": 3, "regions": 2, "region_mask": 1}
_MASKS = {"tokens": "token_mask", "regions": "region_mask"}
ARRAY_NAMES = tuple(_DIMENSIONS)
DIMENSION_NAMES = {
    "vectors": ("item", "dimension"),
    "present": ("item",),
    "ok": ("item",),
    "missing_vector": ("dimension",),
    "ids_utf8": ("id_byte",),
    "ids_offsets": ("id_end",),
    "tokens": ("item", "token", "token_dimension"),
    "token_mask": ("item", "token"),
    "map": ("item", "channel", "height", "width"),
    "regions": ("item", "region", "region_dimension"),
    "region_mask": ("item", "region"),
}
"""What the dimensions of each array of a Zarr matrix are called; equal names have equal lengths."""


@dataclass(frozen=True)
class MatrixArray:
    """An array beside the vectors; in a row that is not both present and ok it is all zero, or False.

    Attributes
    ----------
    name : {"tokens", "token_mask", "map", "regions", "region_mask"}
    shape : tuple of int
        That of one row: tokens [T, D], token_mask [T], map [C, H, W], regions [R, D], region_mask [R].
    dtype : {"float16", "float32", "uint8", "bool"}
        A mask is bool, and nothing else is.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def check_arrays(arrays: Iterable[MatrixArray]) -> None:
    """Refuse arrays of other names, shapes or types, and a mask without its array.

    Raises
    ------
    ValueError
        Naming the array.
    """
    found: dict[str, MatrixArray] = {}
    for array in arrays:
        if array.name in found:
            raise ValueError(f"expected each array once, found {array.name!r} twice")
        _check_array(array)
        found[array.name] = array
    for name, mask in _MASKS.items():
        lengths = [found[each].shape[0] for each in (name, mask) if each in found]
        if lengths and (len(lengths) == 1 or lengths[0] != lengths[1]):
            raise ValueError(f"expected {name!r} and {mask!r} of one length, found {sorted(found)} of {lengths}")


def _check_array(array: MatrixArray) -> None:
    if array.name not in _DIMENSIONS:
        raise ValueError(f"expected arrays named {', '.join(ARRAY_NAMES)}, found {array.name!r}")
    dimensions = _DIMENSIONS[array.name]
    types = ("bool",) if array.name in _MASKS.values() else VECTOR_TYPES
    sizes = len(array.shape) == dimensions and all(type(size) is int and size > 0 for size in array.shape)
    if not sizes or array.dtype not in types:
        raise ValueError(
            f"expected rows of {array.name!r} with {dimensions} dimensions in {' or '.join(types)}, "
            f"found {array.shape} in {array.dtype}"
        )
    if array.row_bytes > GROUP_BYTES:
        raise ValueError(f"expected rows of {array.name!r} up to {GROUP_BYTES} bytes, found {array.row_bytes}")


def described(arrays: Iterable[MatrixArray]) -> dict[str, dict[str, Any]]:
    """Give the attribute `arrays`, without digests."""
    return {each.name: {"dtype": each.dtype, "shape": list(each.shape)} for each in arrays}


def stated_arrays(attributes: Mapping[str, Any]) -> list[MatrixArray]:
    """Read the attribute `arrays` of a file, sorted by name; version 1 had none, and left the word to the caller.

    Raises
    ------
    ValueError
        When it is missing or states anything that is not allowed.
    """
    if attributes.get("format_version") == 1:
        return []
    try:
        stated = sorted(attributes["arrays"].items())
        arrays = [MatrixArray(name, tuple(each["shape"]), each["dtype"]) for name, each in stated]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("expected the attribute arrays with shapes and types, found another") from error
    check_arrays(arrays)
    return arrays


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
