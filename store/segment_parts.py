"""What both segment formats have in common: three arrays, a few attributes, and the bounds that a parser must keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.rows import Rows

MAX_ROWS = 4_000_000
MAX_DIM = 1_000_000
ROW_DIGEST_BYTES = 8


@dataclass(frozen=True, eq=False)
class RawSegment:
    """A segment as the formats see it: arrays, and attributes that are numbers or strings."""

    keys: NDArray[np.uint8]  # [N, 32]
    vectors: Rows  # [N, D]
    row_digests: NDArray[np.uint8]  # [N, 8]
    attributes: dict[str, Any]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, in the order of their names."""
        return {"keys": self.keys, "row_digests": self.row_digests, "vectors": self.vectors}


def expected_shapes(rows: int, dim: int) -> dict[str, tuple[int, int]]:
    """Give the shape of each array, after checking that the sizes are sane.

    Raises
    ------
    ValueError
        When rows or dimension are out of bounds.
    """
    if not (0 < rows <= MAX_ROWS and 0 < dim <= MAX_DIM):
        raise ValueError(f"expected up to {MAX_ROWS} rows and {MAX_DIM} dimensions, found {rows} and {dim}")
    return {"keys": (rows, 32), "row_digests": (rows, 8), "vectors": (rows, dim)}
