"""Which inputs two items have in common, and what a missing one counts: asked by `run`, `ranking` and `query`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.retrieve.features import Block, Bools, Ints

_STEP = 4096


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
