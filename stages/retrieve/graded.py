"""How much the labels of found items agree with a query's, from 0 to 1: asked by `ranking`, scored by `metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Allowed = Callable[[Ints, Ints], Bools]
_STEP = 2048


@dataclass(frozen=True)
class Grades:
    """What is known of the gallery of each query.

    Attributes
    ----------
    mean : float64 [Q]
        The mean Jaccard index over what the query may find: what blind choices reach.
    ideal : float64 [Q, depth]
        The largest, in falling order; 0 where it may find fewer.
    """

    mean: Floats
    ideal: Floats


def grades_of(labels: Bools, queries: Ints, gallery: Ints, allowed: Allowed, depth: int) -> Grades:
    """Grade all that each query may find, block by block.

    Parameters
    ----------
    labels : bool [N, K]
    queries, gallery : int64 [Q], int64 [G]
        Row numbers.
    allowed : callable
        Tells bool [queries, gallery] of what a query may find.
    depth : int
        How many of the best to keep; 0 for none.
    """
    parts = [_graded(labels, asked, gallery, allowed, depth) for asked in _blocks(queries)]
    if not parts:
        return Grades(np.zeros(0), np.zeros((0, depth)))
    return Grades(np.concatenate([each.mean for each in parts]), np.concatenate([each.ideal for each in parts]))


def _graded(labels: Bools, asked: Ints, gallery: Ints, allowed: Allowed, depth: int) -> Grades:
    total, count, best = np.zeros(len(asked)), np.zeros(len(asked)), np.zeros((len(asked), depth), np.float32)
    for block in _blocks(gallery):
        free = allowed(asked, block)
        gains = agreement(labels[asked], labels[block]) * free
        total += gains.sum(axis=1, dtype=np.float64)
        count += free.sum(axis=1)
        if depth:
            both = np.concatenate([best, gains], axis=1)
            best = -np.partition(-both, depth - 1, axis=1)[:, :depth]
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return Grades(mean, -np.sort(-best, axis=1).astype(np.float64))


def agreement(left: Bools, right: Bools) -> NDArray[np.float32]:
    """Return the Jaccard index of all pairs of label sets [q, K] and [g, K]: float32 [q, g]; 1 for two empty sets."""
    shared = left.astype(np.float32) @ right.astype(np.float32).T  # counts of labels: exact in float32
    either = (left.sum(axis=1)[:, None] + right.sum(axis=1)[None, :]).astype(np.float32) - shared
    return np.asarray(np.divide(shared, either, out=np.ones_like(shared), where=either > 0))


def _blocks(rows: Ints) -> Iterator[Ints]:
    yield from (rows[start : start + _STEP] for start in range(0, len(rows), _STEP))
