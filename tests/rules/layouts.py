"""One array in every layout that NumPy knows: equal numbers, other bytes in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYOUTS = ("fortran", "strided", "backwards", "read only", "big-endian")


def laid_out(values: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return an array that equals `values`, in a layout of `LAYOUTS`."""
    if layout == "fortran":
        return np.asfortranarray(values)
    if layout == "strided":
        return np.repeat(values, 2, axis=-1)[..., ::2]
    if layout == "backwards":
        return values[::-1].copy()[::-1]
    if layout == "read only":
        frozen = values.copy()
        frozen.flags.writeable = False
        return frozen
    return values.astype(values.dtype.newbyteorder(">"))
