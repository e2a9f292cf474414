"""Decides which rows may enter the store; `features.log` refuses the others, and callers sort them out beforehand."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidVectors
from store.items.keys import KEY_BYTES, sortable

VectorType = Literal["float16", "float32", "uint8"]
VECTOR_TYPES: tuple[str, ...] = get_args(VectorType)
# Rows [N, D] of a VectorType; NumPy's own types have no name for these three together.
Rows = NDArray[Any]

# Two rows in float64 and their product, of any length, at once.
_PORTION_NUMBERS = 1 << 21
# The bits of infinity by the size of a number in bytes.
_INFINITY = {2: 0x7C00, 4: 0x7F800000, 8: 0x7FF0000000000000}


def row_problems(vectors: Rows, zero_legal: bool = False) -> NDArray[np.str_]:
    """Tell for each row why it may not be stored.

    Parameters
    ----------
    vectors : ndarray of float or uint8, shape [N, D]
        A row of uint8 is always good: a black picture is all zero.
    zero_legal : bool
        Whether a row may be all zero, as `EncoderLog.zero_legal` tells of an encoder.

    Returns
    -------
    ndarray of str, shape [N]
        "" where the row is good, else "non-finite" or "zero vector" (which would have no direction).
    """
    problems = np.full(len(vectors), "", dtype="<U11")
    if vectors.size and vectors.dtype.kind == "f":
        largest = _largest_bits(vectors)
        if not zero_legal:
            problems[largest == 0] = "zero vector"
        problems[largest >= _INFINITY[vectors.dtype.itemsize]] = "non-finite"
    return problems


def finite_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows hold no infinity and no NaN.

    Parameters
    ----------
    values : ndarray of float, uint8 or bool, shape [N, ...]

    Returns
    -------
    ndarray of bool, shape [N]
    """
    if not values.size or values.dtype.kind != "f":
        return np.ones(len(values), dtype=bool)
    largest = _largest_bits(values.reshape(len(values), -1))
    return np.asarray(largest < _INFINITY[values.dtype.itemsize])


def _largest_bits(vectors: Rows) -> NDArray[np.unsignedinteger[Any]]:
    """Give each row's largest magnitude as its bits, which sort like the numbers, with infinity and NaN on top.

    Whole numbers compare several times as fast as half-precision ones, for which processors have no arithmetic.
    """
    native = np.ascontiguousarray(vectors, dtype=vectors.dtype.newbyteorder("="))
    size = native.dtype.itemsize
    magnitude = native.view(f"u{size}") & ((1 << (8 * size - 1)) - 1)
    return np.asarray(magnitude.max(axis=1))


def cosines(a: Rows, b: Rows) -> NDArray[np.float64]:
    """Give the cosine of each pair of rows, computed in float64.

    Parameters
    ----------
    a, b : ndarray of float or uint8, shape [N, D]

    Returns
    -------
    ndarray of float64, shape [N]
        0 where one row of the two is all zero, 1 where both are: they agree.
    """
    found = np.empty(len(a), dtype=np.float64)
    size = max(1, _PORTION_NUMBERS // a.shape[1])
    for start in range(0, len(a), size):
        part = slice(start, start + size)
        found[part] = _cosines(a[part].astype(np.float64), b[part].astype(np.float64))
    return found


def _cosines(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    product = lengths[0] * lengths[1]
    cosine = (first * second).sum(axis=1) / np.where(product == 0, np.inf, product)
    return np.where((lengths[0] == 0) & (lengths[1] == 0), 1.0, cosine)


def good_rows(zero_legal: bool) -> str:
    """Say in a message which rows were expected."""
    return "finite vectors" if zero_legal else "finite vectors that are not zero"


def check_keys(keys: NDArray[np.uint8]) -> None:
    """Refuse keys that are not a uint8 array of shape [N, 32].

    Raises
    ------
    InvalidVectors
        Naming what was found.
    """
    if not isinstance(keys, np.ndarray) or keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != KEY_BYTES:
        raise InvalidVectors(f"expected keys as uint8 [N, {KEY_BYTES}], found {_described(keys)}; use store.key_array")


def check_rows(keys: NDArray[np.uint8], vectors: Rows, dim: int, dtype: str, zero_legal: bool = False) -> None:
    """Refuse rows that may not be stored, before anything is written.

    Parameters
    ----------
    keys : ndarray of uint8, shape [N, 32]
    vectors : ndarray of `dtype`, shape [N, dim]
    dim : int
    dtype : str
    zero_legal : bool
        Whether a row may be all zero.

    Raises
    ------
    InvalidVectors
        For a wrong shape, dtype or layout, no rows, a row that `row_problems` refuses, or a key given twice; the
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
    _check_values(vectors, zero_legal)
    _check_distinct(keys)


def _check_values(vectors: Rows, zero_legal: bool) -> None:
    problems = row_problems(vectors, zero_legal)
    bad = np.flatnonzero(problems != "")
    if len(bad):
        raise InvalidVectors(
            f"expected {good_rows(zero_legal)}, found {problems[bad[0]]} in row {bad[0]} "
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
