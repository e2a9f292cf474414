"""The vectors of all inputs as one matrix [n, sum of widths]: what the matrix factorisations learn from."""

from __future__ import annotations

import numpy as np

from stages.fusions.layout import Layout, split_parts
from stages.heads.model import Array, Features, blocks_of


def input_widths(columns: int, layout: Layout | None) -> list[int]:
    """Return the width of each matrix; without a layout all `columns` are one matrix."""
    return [columns] if layout is None else [block.width for block in layout]


def vectors_of(x: Array, layout: Layout | None) -> Array:
    """Return the vectors of joined features [n, columns] side by side, without the presence columns."""
    return np.concatenate([part.vector for part in split_parts(x, layout)], axis=1)


def stacked(x: Features, layout: Layout | None) -> Array:
    """Return the vectors of all rows, float32 [n, sum of widths], read block by block."""
    found = np.empty((len(x), sum(input_widths(x.shape[1], layout))), dtype=np.float32)
    start = 0
    for block in blocks_of(x):
        found[start : start + len(block)] = vectors_of(block, layout)
        start += len(block)
    return found
