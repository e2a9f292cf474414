"""Put vectors side by side: `none` and `concat`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from stages.epochs import UNWATCHED, Watch
from stages.fusions.base import FusionTransformer
from stages.fusions.layout import split_parts
from stages.heads.model import Array, Features


class ConcatFusion(FusionTransformer):
    """`none` and `concat`: the vectors side by side, [n, sum of widths]; docs/systems/fusions.md#concat.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The inputs; a single one makes it the identity. None takes all columns for one input that every row has.
    """

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (nothing to learn)
        """Learn nothing but the number of columns."""
        self._learnable(x)
        return self

    def transform(self, x: Array) -> Array:
        """Return the vectors of `x` [n, columns] without the presence columns."""
        return self.joined(self._transformable(x))

    def joined(self, x: Array) -> Array:
        """Do as `transform` with rows of a table, which need no checks; a view where the vectors stand side by side."""
        layout = self.inputs
        if layout is None:
            return x
        parts = split_parts(x, layout)
        if not any(block.arrays for block in layout):
            return x[:, : -len(parts)]
        return np.concatenate([part.vector for part in parts], axis=1)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was learned."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002 (nothing was saved)
        """Take up the number of columns from the layout."""
        return self._restored()
