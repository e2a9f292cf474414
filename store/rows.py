"""Decides which rows may enter the store; `encoder_log` refuses the others, and callers sort them out beforehand."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidVectors
from store.key import KEY_BYTES, sortable

VectorType = Literal["float16", "float32"]


# The bits of infinity by the size of a number in bytes.
_INFINITY = {2: 0x7C00, 4: 0x7F800000, 8: 0x7FF0000000000000}


def row_problems(vectors: NDArray[np.floating[Any]]) -> NDArray[np.str_]:
    """Tell for each row why it may not be stored.

    Parameters
    ----------
    vectors : ndarray of float, shape [N, D]

    Returns
    -------
    ndarray of str, shape [N]
        "" where the row is good, else "non-finite" or "zero vector" (which would have no direction).
    """
    problems = np.full(len(vectors), "", dtype="<U11")
    if vectors.size:
        largest = _largest_bits(vectors)
        problems[largest == 0] = "zero vector"
        problems[largest >= _INFINITY[vectors.dtype.itemsize]] = "non-finite"
    return problems


def _largest_bits(vectors: NDArray[np.floating[Any]]) -> NDArray[np.unsignedinteger[Any]]:
    """Give each row's largest magnitude as its bits, which sort like the numbers, with infinity and NaN on top.

    Whole numbers compare several times as fast as half-precision ones, for which processors have no arithmetic.
    """
    native = np.ascontiguousarray(vectors, dtype=vectors.dtype.newbyteorder("="))
    size = native.dtype.itemsize
    magnitude = native.view(f"u{size}") & ((1 << (8 * size - 1)) - 1)
    return np.asarray(magnitude.max(axis=1))


def cosines(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Give the cosine of each pair of rows, computed in float64; 0 where one row is all zero.

    Parameters
    ----------
    a, b : ndarray of float, shape [N, D]

    Returns
    -------
    ndarray of float64, shape [N]
    """
    first, second = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / np.where(lengths == 0, np.inf, lengths))


def check_keys(keys: NDArray[np.uint8]) -> None:
    """Refuse keys that are not a uint8 array of shape [N, 32].

    Raises
    ------
    InvalidVectors
        Naming what was found.
    """
    if not isinstance(keys, np.ndarray) or keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != KEY_BYTES:
        raise InvalidVectors(f"expected keys as uint8 [N, {KEY_BYTES}], found {_described(keys)}; use store.key_array")


def check_rows(keys: NDArray[np.uint8], vectors: NDArray[np.floating[Any]], dim: int, dtype: str) -> None:
    """Refuse rows that may not be stored, before anything is written.

    Raises
    ------
    InvalidVectors
        For a wrong shape, dtype or layout, no rows, a row that is not finite or all zero, or a key given twice; the
        message names the first bad row.
    """
    check_keys(keys)
    if not isinstance(vectors, np.ndarray) or vectors.shape != (len(keys), dim) or not len(keys):
        raise InvalidVectors(
            f"expected one vector of {dim} numbers for each of {len(keys)} (at least 1) keys, "
            f"found {_described(vectors)}; pass as many rows as keys"
        )
    if vectors.dtype.str != np.dtype(dtype).newbyteorder("<").str or not vectors.flags.c_contiguous:
        raise InvalidVectors(
            f"expected C-contiguous little-endian {dtype}, found {_described(vectors)}; "
            f'cast with numpy.ascontiguousarray(vectors, dtype="{dtype}")'
        )
    _check_values(vectors)
    _check_distinct(keys)


def _check_values(vectors: NDArray[np.floating[Any]]) -> None:
    problems = row_problems(vectors)
    bad = np.flatnonzero(problems != "")
    if len(bad):
        raise InvalidVectors(
            f"expected finite vectors that are not zero, found {problems[bad[0]]} in row {bad[0]} "
            f"({len(bad)} bad rows in all); leave out the rows that store.row_problems names"
        )


def _check_distinct(keys: NDArray[np.uint8]) -> None:
    _, first = np.unique(sortable(keys), return_index=True)
    if len(first) < len(keys):
        again = np.setdiff1d(np.arange(len(keys)), first)[0]
        raise InvalidVectors(f"expected each key once, found that of row {again} before it; compute each item once")


def _described(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    layout = "" if value.flags.c_contiguous else ", not contiguous"
    return f"{value.dtype.str} {list(value.shape)}{layout}"
