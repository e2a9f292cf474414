"""Lays the matrices of one retrieval system side by side, scaled one by one: between `store` and `ranking`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Scale
from stages.errors import InputError
from stages.heads.neighbours import Picks
from store import Matrix

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_STEP = 4096


@dataclass(frozen=True)
class Block:
    """One matrix and what is done to each of its rows.

    Attributes
    ----------
    matrix : Matrix
    scale : {"none", "standard", "l2"}
    shift, spread : float64 [D]
        Zeros and ones unless the scale is "standard".
    stand_in : float64 [W], optional
        What a row without this input is, scaled: of the matrix's width D, or wider by columns that are 0 in all other
        rows. None leaves it the matrix's missing vector.
    """

    matrix: Matrix
    scale: Scale
    shift: NDArray[np.float64]
    spread: NDArray[np.float64]
    stand_in: NDArray[np.float64] | None = None

    def rows(self, indices: Ints) -> NDArray[np.float64]:
        """Read and scale some rows, float64 [n, D], or [n, W] with a stand-in.

        Raises
        ------
        InputError
            When a value is NaN or infinite; it names the first such item.
        """
        vectors = np.asarray(self.matrix.rows(indices), dtype=np.float64)
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            item = self.matrix.ids[int(indices[np.argmax(bad)])]
            raise InputError(f"expected finite features, found NaN or infinity for item {item!r}; embed it again")
        return self.completed(self.scaled(vectors), self.matrix.usable[indices])

    def completed(self, scaled: NDArray[np.float64], there: Bools) -> NDArray[np.float64]:
        """Put the stand-in, where there is one, in place of scaled vectors [n, D] that are not `there`, bool [n]."""
        if self.stand_in is None:
            return scaled
        full = np.zeros((len(scaled), len(self.stand_in)))
        full[:, : scaled.shape[1]] = scaled
        full[~there] = self.stand_in
        return full

    def scaled(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale vectors [n, D], be they rows of the matrix or not."""
        if self.scale == "l2":
            length = np.linalg.norm(vectors, axis=1, keepdims=True)
            # A zero vector has no direction: it stays where it is.
            return np.asarray(vectors / np.where(length > 0, length, 1.0))
        return (vectors - self.shift) / self.spread


@dataclass(frozen=True)
class FeatureRows:
    """Chosen items as rows [n, sum of D] that `neighbours` reads in parts; nothing is read before it asks."""

    blocks: tuple[Block, ...]
    items: Ints

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows: Picks) -> NDArray[Any]:
        wanted = self.items[rows]
        return np.concatenate([block.rows(wanted) for block in self.blocks], axis=1)

    def only(self, items: Ints) -> FeatureRows:
        """Choose other items of the same matrices."""
        return replace(self, items=items)

    def reading(self, blocks: Sequence[int]) -> FeatureRows:
        """Choose some of the matrices for the same items."""
        return replace(self, blocks=tuple(self.blocks[number] for number in blocks))

    def inputs(self) -> Bools:
        """Tell which items of the data set have which input: bool [M, N]."""
        return inputs_of([block.matrix for block in self.blocks])


def inputs_of(matrices: Sequence[Matrix]) -> Bools:
    """Tell which items have which input: bool [M, N]."""
    return np.stack([matrix.usable for matrix in matrices])


def scaled_blocks(matrices: Sequence[Matrix], scale: Scale, fit_rows: Ints) -> tuple[Block, ...]:
    """Prepare the scaling of every matrix.

    Parameters
    ----------
    matrices : sequence of Matrix
        All over the same items.
    scale : {"none", "standard", "l2"}
        See `RetrieveParams`.
    fit_rows : int64 [n]
        The rows from which "standard" takes mean and deviation; rows that miss a matrix do not count for it.

    Raises
    ------
    InputError
        When "standard" has no row to learn from.
    """
    return tuple(_block(matrix, scale, fit_rows) for matrix in matrices)


def _block(matrix: Matrix, scale: Scale, fit_rows: Ints) -> Block:
    plain = Block(matrix, scale, np.zeros(matrix.dim), np.ones(matrix.dim))
    if scale != "standard":
        return plain
    rows = fit_rows[np.asarray(matrix.usable)[fit_rows]]
    if not len(rows):
        raise InputError("expected train rows to learn the scale from, found none; choose scale: l2 or none")
    total, count = np.zeros(matrix.dim), len(rows)
    for start in range(0, count, _STEP):
        total += plain.rows(rows[start : start + _STEP]).sum(axis=0)
    mean, squares = total / count, np.zeros(matrix.dim)
    for start in range(0, count, _STEP):
        squares += ((plain.rows(rows[start : start + _STEP]) - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / count)
    # A column that never changes says nothing; dividing by its zero would make it say everything.
    return replace(plain, shift=mean, spread=np.where(deviation > 0, deviation, 1.0))
