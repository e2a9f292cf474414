"""The matrices of one retrieval system side by side, scaled one by one, and what stands for a missing input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Scale
from stages.models.measures.neighbours import Picks
from store import Matrix
from store.errors import InputError

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


@dataclass(frozen=True)
class Kind:
    """Queries that have the same inputs.

    Attributes
    ----------
    queries : int64 [q]
        Their positions among all queries.
    inputs : int64 [m]
        The numbers of the inputs that they have.
    gallery : int64 [g]
        The positions of the gallery items that share an input with them: the others cannot be measured, nor found.
    """

    queries: Ints
    inputs: Ints
    gallery: Ints


def kinds_of(inputs: Bools, queries: Ints, gallery: Ints) -> list[Kind]:
    """Part queries by the inputs that they have; where nothing is missing there is a single kind.

    Parameters
    ----------
    inputs : bool [M, N]
        Which of all items have which input.
    queries, gallery : int64 [Q], int64 [G]
        Row numbers of the items.
    """
    offered = inputs[:, gallery]
    patterns, which = np.unique(inputs[:, queries], axis=1, return_inverse=True)
    return [
        Kind(
            np.flatnonzero(which.reshape(-1) == number),
            np.flatnonzero(pattern),
            np.flatnonzero(offered[pattern].any(axis=0)),
        )
        for number, pattern in enumerate(patterns.T)
    ]


def offered_inputs(inputs: Bools, gallery: Ints) -> Bools:
    """Tell which inputs, of bool [M, N], some of the rows `gallery` have: bool [M]."""
    return np.asarray(inputs[:, gallery].any(axis=1))


def missing_some(inputs: Bools, rows: Ints) -> int:
    """Count the rows that lack one of the inputs [M, N] and have another."""
    there = inputs[:, rows]
    return int((there.any(axis=0) & ~there.all(axis=0)).sum())


def at_mean_distance(blocks: Sequence[Block], gallery: Ints) -> tuple[Block, ...]:
    """Let each gallery item that lacks an input stand as far from every query as the others do on average.

    Of a query and a gallery item only the inputs that both have are compared. An input that the query lacks is not
    read. One that the gallery item lacks adds to the squared distance what it adds on average over the gallery items
    that have it: ``mean |q - g|^2 = |q - m|^2 + v`` with their mean m and their mean squared distance v from m. So one
    point stands for all that lack it, whatever the query: m, and the root of v in a column where all others are 0.
    Distances stay Euclidean, and every search by distance is as exact as without missing inputs.

    Parameters
    ----------
    blocks : sequence of Block
        Each with an input that some item of the gallery has.
    gallery : int64 [G]
        The items that may be found.
    """
    return tuple(_standing(block, gallery) for block in blocks)


def _standing(block: Block, gallery: Ints) -> Block:
    having = gallery[block.matrix.usable[gallery]]
    if len(having) == len(gallery):
        return block
    mean, variance = _mean_and_variance(block, having)
    return replace(block, stand_in=np.append(mean, np.sqrt(variance)))


def at_mean(blocks: Sequence[Block], fit: Ints) -> tuple[Block, ...]:
    """Let each item that lacks an input stand at the mean of the rows `fit` [F] that have it, for clusters.

    A column of its own, as in `at_mean_distance`, would make a cluster of those that lack it. Where no row of `fit` has
    an input, which then tells none of them from another, zeros stand for it.
    """
    return tuple(_averaged(block, fit) for block in blocks)


def _averaged(block: Block, fit: Ints) -> Block:
    having = fit[block.matrix.usable[fit]]
    return replace(block, stand_in=_mean_and_variance(block, having)[0])


def _mean_and_variance(block: Block, rows: Ints) -> tuple[NDArray[np.float64], float]:
    """Return the mean of some rows, float64 [D], and their mean squared distance from it; zeros of none.

    Rows are read once, some at a time, and the sums of squares merged.

    Source: Chan, Golub and LeVeque, Algorithms for computing the sample variance, The American Statistician 37, 1983.
    """
    mean, squares, seen = np.zeros(block.matrix.dim), 0.0, 0
    for start in range(0, len(rows), _STEP):
        values = block.rows(rows[start : start + _STEP])
        own, count = values.mean(axis=0), len(values)
        gap = own - mean
        squares += float(((values - own) ** 2).sum()) + float(gap @ gap) * seen * count / (seen + count)
        seen += count
        mean += gap * (count / seen)
    return mean, squares / max(seen, 1)
