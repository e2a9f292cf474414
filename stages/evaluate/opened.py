"""A restored model and the rows that are evaluated, as who looks inside it reads them block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.readings import Truth
from stages.experiment import Data
from stages.fusions.layout import split_parts
from stages.fusions.model import FusedModel
from stages.heads.model import Array, blocks_of


@dataclass(frozen=True)
class Opened:
    """The model of one seed.

    Attributes
    ----------
    rows : ndarray of int64, [n]
        Where the rows of the truth stand in the manifest.
    inputs : tuple of str
        The names of the M features.
    """

    model: FusedModel
    data: Data
    rows: NDArray[np.int64]
    truth: Truth
    inputs: tuple[str, ...]

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[Array]:
        """Yield the joined features [n_b, columns] of rows [m], which are positions in the truth."""
        yield from blocks_of(self.data.features(self.rows[rows]))

    def present(self, block: Array) -> NDArray[np.bool_]:
        """Return which inputs the rows of joined features have, [n_b, M]."""
        return np.stack([part.present > 0 for part in split_parts(block, self.data.layout)], axis=1)
