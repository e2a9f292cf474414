"""Take stored rows apart into the arrays of a matrix; `export` writes what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.encoders.protocol import Part
from store import MatrixArray, VectorType

Numbers = NDArray[Any]
_MASKS = {"tokens": "token_mask", "regions": "region_mask"}


def arrays_beside(parts: Sequence[Part], dtype: VectorType) -> list[MatrixArray]:
    """Declare what a matrix holds besides the vectors: each further part, and the mask of a counted one."""
    declared = []
    for part in parts[1:]:
        declared.append(MatrixArray(part.name, part.shape, dtype))
        if part.counted:
            declared.append(MatrixArray(_MASKS[part.name], part.shape[:1], "bool"))
    return declared


def take_apart(parts: Sequence[Part], rows: Numbers) -> tuple[Numbers, Mapping[str, Numbers]]:
    """Split rows [n, W] into vectors [n, D] and, by name, the other arrays [n, *shape] and masks [n, positions]."""
    vectors, arrays, start = rows[:, : parts[0].width], {}, parts[0].width
    for part in parts[1:]:
        own = rows[:, start : start + part.width]
        start += part.width
        if part.counted:
            own, counts = own[:, :-1], own[:, -1]
            arrays[_MASKS[part.name]] = np.arange(part.shape[0]) < counts[:, None]
        arrays[part.name] = own.reshape(len(rows), *part.shape)
    return vectors, arrays
