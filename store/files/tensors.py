"""Arrays by name as safetensors: the one way in which NumPy's arrays are saved; whoever reads them calls `safetensors`.

Its version 0.8.0 writes the memory behind an array's first number as if it lay in C order: a transposed or strided
array comes back scrambled, or as what lay beside it, without an error. Its version 0.7.0 did not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save, save_file


def save_tensors(tensors: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write arrays of any layout and byte order; they come back in C order and in this machine's byte order."""
    save_file(ordered(tensors), path)


def tensor_bytes(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the bytes that `save_tensors` writes."""
    return save(ordered(tensors))


def ordered(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays, each of them whole and in C order; one that is so already is not copied."""
    # Not `ascontiguousarray`, which makes a vector of a single number.
    return {name: np.asarray(value, order="C") for name, value in tensors.items()}
