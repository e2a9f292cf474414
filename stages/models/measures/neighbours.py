"""Exact Euclidean neighbours by chunked brute force: pure numpy; `tiers` calls it for `retrieve`.

How exactness is kept. ``|q|^2 - 2 q.g + |g|^2`` needs one matrix product, but it cancels: two equal vectors may come
out a little apart, and a tie then falls to chance. So the product only shortlists. Its rounding error is bounded (see
`_tolerance`), every pair that could still belong to the answer is measured again as ``sum((q - g)^2)`` in float64, and
only these distances rank. The shortlist has no fixed margin: a hundred equal gallery rows are a hundred candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Picks = slice | NDArray[np.int64]
Allowed = Callable[[Picks, Picks], NDArray[np.bool_]]
"""Says which (query rows, gallery rows) pairs count: a bool array [queries, gallery rows] for two choices of rows."""

_QUERIES, _GALLERY = 2048, 4096  # rows held at once; the distances of one step take their product x 8 bytes
_PAIR_FLOATS = 1 << 22  # how many float64 one piece of re-measured pairs may hold (32 MB)


class VectorRows(Protocol):
    """Vectors that can be read in parts: a numpy array [N, D], or matrices on disk."""

    def __len__(self) -> int:
        """Tell the number of rows."""

    def __getitem__(self, rows: Picks, /) -> NDArray[Any]:
        """Read some rows, [n, D]."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest gallery rows of each query.

    Attributes
    ----------
    indices : int64 [Q, k]
        Gallery positions, nearest first, equal distances by smaller position; -1 where fewer than k were allowed.
    squared : float64 [Q, k]
        Squared distances, never decreasing along a row; inf beside a -1.
    """

    indices: Ints
    squared: Floats

    @property
    def distances(self) -> Floats:
        """Euclidean distances, float64 [Q, k]."""
        return np.sqrt(self.squared)


def nearest(queries: VectorRows, gallery: VectorRows, k: int, allowed: Allowed | None = None) -> Neighbours:
    """Find the k nearest gallery rows of every query, exactly.

    Parameters
    ----------
    queries, gallery : VectorRows
        Vectors of the same width.
    k : int
        How many to keep, at least 1.
    allowed : callable, optional
        Pairs for which it says False are never found.

    Source: docs/systems/heads.md#knn.
    """
    count = len(queries)
    found = Neighbours(np.full((count, k), -1, np.int64), np.full((count, k), np.inf))
    for rows, block in _slices(count, _QUERIES, queries):
        best = Neighbours(found.indices[rows], found.squared[rows])
        for columns, candidates in _slices(len(gallery), _GALLERY, gallery):
            rough, slack = _rough(block, candidates, allowed(rows, columns) if allowed else None)
            limit = _limit(rough, slack, best.squared[:, -1], k)
            pairs = np.nonzero((rough <= limit[:, None]) & np.isfinite(rough))
            best = _merge(best, pairs, _measure(block, candidates, pairs), columns.start)
        found.indices[rows], found.squared[rows] = best.indices, best.squared
    return found


def ranks_of(targets: Neighbours, queries: VectorRows, gallery: VectorRows, allowed: Allowed | None = None) -> Ints:
    """Tell the place that each query's first target takes in its full ranking.

    Parameters
    ----------
    targets : Neighbours
        One found item per query ([Q, 1], from `nearest`); -1 where there is none.
    queries, gallery, allowed
        As in `nearest`; `allowed` says what the full ranking holds.

    Returns
    -------
    int64 [Q]
        1 for the nearest of all, 0 where the query has no target.
    """
    index = targets.indices[:, 0]
    goal = np.where(index >= 0, targets.squared[:, 0], -1.0)  # nothing is nearer than -1: no target, nothing counted
    before = np.zeros(len(queries), np.int64)
    for rows, block in _slices(len(queries), _QUERIES, queries):
        for columns, candidates in _slices(len(gallery), _GALLERY, gallery):
            rough, slack = _rough(block, candidates, allowed(rows, columns) if allowed else None)
            aim = goal[rows, None]
            before[rows] += np.sum(rough < aim - slack[:, None], axis=1)
            pairs = np.nonzero(np.abs(rough - aim) <= slack[:, None])
            exact, wanted = _measure(block, candidates, pairs), goal[rows][pairs[0]]
            nearer = (exact < wanted) | ((exact == wanted) & (pairs[1] + columns.start < index[rows][pairs[0]]))
            before[rows] += np.bincount(pairs[0][nearer], minlength=len(block))
    return np.where(index >= 0, before + 1, 0)


def _slices(count: int, size: int, source: VectorRows) -> Iterator[tuple[slice, Floats]]:
    """Yield each slice of the source with its rows in float64."""
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        yield rows, np.ascontiguousarray(source[rows], dtype=np.float64)


def _rough(block: Floats, candidates: Floats, mask: NDArray[np.bool_] | None) -> tuple[Floats, Floats]:
    """Squared distances by one product, inf where not allowed [q, g], and how far off each row may be [q]."""
    own, other = (block * block).sum(axis=1), (candidates * candidates).sum(axis=1)
    rough = own[:, None] + other[None, :] - 2.0 * (block @ candidates.T)
    if mask is not None:
        rough[~mask] = np.inf
    return rough, _tolerance(own + other.max(), block.shape[1])


def _tolerance(scale: Floats, width: int) -> Floats:
    """Bound the rounding of the product and of the exact sum together.

    A float64 dot product of `width` terms errs by at most about width x eps x |q| |g|, the two norms and the final sum
    by the like of it; eight times the sum of these covers both ways of measuring with room to spare.
    """
    return 8.0 * (width + 8) * float(np.finfo(np.float64).eps) * scale


def _limit(rough: Floats, slack: Floats, worst: Floats, k: int) -> Floats:
    """Tell up to which rough distance a pair could still enter the k nearest, for each query [q]."""
    limit = worst + slack
    if rough.shape[1] >= k:
        # The k-th rough distance and the pair in question may err in opposite directions: twice the slack.
        limit = np.minimum(limit, np.partition(rough, k - 1, axis=1)[:, k - 1] + 2.0 * slack)
    return limit


def _measure(block: Floats, candidates: Floats, pairs: tuple[Ints, ...]) -> Floats:
    """Measure the pairs one by one, piece by piece: float64 [pairs]."""
    left, right = pairs
    exact = np.empty(len(left))
    step = max(1, _PAIR_FLOATS // max(1, block.shape[1]))
    for start in range(0, len(left), step):
        part = slice(start, start + step)
        gap = block[left[part]] - candidates[right[part]]
        exact[part] = (gap * gap).sum(axis=1)
    return exact


def _merge(best: Neighbours, pairs: tuple[Ints, ...], squared: Floats, offset: int) -> Neighbours:
    """Put newly measured pairs among the best so far and keep the first k of each query."""
    count, k = best.indices.shape
    held = best.indices >= 0
    query = np.concatenate([np.nonzero(held)[0], pairs[0]])
    index = np.concatenate([best.indices[held], pairs[1] + offset])
    value = np.concatenate([best.squared[held], squared])
    order = np.lexsort((index, value, query))
    query, index, value = query[order], index[order], value[order]
    starts = np.searchsorted(query, np.arange(count))
    place = np.arange(len(query)) - starts[query]
    kept = place < k
    merged = Neighbours(np.full((count, k), -1, np.int64), np.full((count, k), np.inf))
    merged.indices[query[kept], place[kept]] = index[kept]
    merged.squared[query[kept], place[kept]] = value[kept]
    return merged
