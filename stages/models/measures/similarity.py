"""How alike two sets of vectors of the same items are, whatever their widths: pure numpy; `diptych compare` asks.

Centred kernel alignment compares all distances at once, the overlap of neighbours the short ones, which retrieval and
nearest-neighbour heads live on. Neither minds a rotation, or one factor on all vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.contract import Tracker
from stages.models.measures.neighbours import Picks, VectorRows, nearest
from store.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_VALUES = 1 << 23  # float64 values of one block of rows (64 MB)
_TILE = 2048
_WIDEST = 8192  # columns up to which a product of two widths is held: 512 MB
_FEWEST = 4  # rows, without which the debiased form divides by zero
_NOTHING = 1e-12


@dataclass(frozen=True)
class Cka:
    """Linear centred kernel alignment.

    Attributes
    ----------
    value : float
        From 0 to 1; 1 for vectors that differ by a rotation and one factor. With few rows for the width it is far from
        0 even for vectors that have nothing to do with each other.
    debiased : float or None
        The same from unbiased estimates: 0 on average for unrelated vectors, and then as often below. None where all
        rows of one side are equally far from each other, which leaves nothing to align.
    """

    value: float
    debiased: float | None


def linear_cka(first: VectorRows, second: VectorRows) -> Cka:
    """Compare vectors of the same n items, [n, D] and [n, D'], block by block in float64.

    ``|Y'X|^2 / (|X'X| |Y'Y|)`` of centred columns in Frobenius norms: products of D x D', D x D and D' x D'. Where the
    rows are fewer than that is worth, or the vectors wider than 8192, the same is summed over tiles of n x n.

    Raises
    ------
    InputError
        When there are fewer than 4 rows, or one side has the same vector in all of them.

    Source: Kornblith et al., Similarity of neural network representations revisited, ICML 2019; the unbiased estimate
    of each norm: Song et al., Feature selection via dependence maximization, JMLR 13, 2012, eq. 5.
    """
    count = len(first)
    if count < _FEWEST:
        raise InputError(f"linear CKA: expected at least {_FEWEST} rows, found {count}; compare more items")
    left, right = _Centred.of(first, "first"), _Centred.of(second, "second")
    norms = _by_rows(left, right) if _rows_are_cheaper(count, left.width, right.width) else _by_columns(left, right)
    spread, lengths = _row_norms(left, right), norms[1:]
    value = norms[0] / math.sqrt(lengths[0] * lengths[1])
    free = [_debiased(norm, *pair) for norm, pair in zip(norms, _pairs(*spread), strict=True)]
    if any(unbiased <= _NOTHING * norm for unbiased, norm in zip(free[1:], lengths, strict=True)):
        return Cka(value, None)
    return Cka(value, free[0] / math.sqrt(free[1] * free[2]))


@dataclass(frozen=True)
class _Centred:
    """Rows in float64 with the mean of each column taken off."""

    rows: VectorRows
    mean: Floats

    @classmethod
    def of(cls, rows: VectorRows, name: str) -> _Centred:
        start = np.asarray(rows[slice(0, 1)], np.float64)[0]
        total, same = np.zeros(len(start)), True
        for part in _parts(len(rows), len(start)):
            block = np.asarray(rows[part], np.float64)
            total += (block - start).sum(axis=0)
            same = same and bool((block == start).all())
        if same:
            raise InputError(
                f"linear CKA: expected vectors that differ between rows, found the same in all {len(rows)} rows of the "
                f"{name}; nothing can be aligned with a constant: compare other entries"
            )
        return cls(rows, start + total / len(rows))

    @property
    def width(self) -> int:
        return len(self.mean)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Floats:
        return np.asarray(self.rows[part], np.float64) - self.mean


def _parts(count: int, width: int) -> Iterator[slice]:
    step = max(1, _VALUES // width)
    yield from (slice(start, min(start + step, count)) for start in range(0, count, step))


def _rows_are_cheaper(count: int, width: int, other: int) -> bool:
    return max(width, other) > _WIDEST or count * (width + other) < width**2 + width * other + other**2


def _by_columns(left: _Centred, right: _Centred) -> tuple[float, float, float]:
    """Return the squared norms of Y'X, X'X and Y'Y."""
    cross, own = np.zeros((left.width, right.width)), np.zeros((left.width, left.width))
    other = np.zeros((right.width, right.width))
    for part in _parts(len(left), left.width + right.width):
        x, y = left[part], right[part]
        cross += x.T @ y
        own += x.T @ x
        other += y.T @ y
    return _square(cross), _square(own), _square(other)


def _by_rows(left: _Centred, right: _Centred) -> tuple[float, float, float]:
    """Return the same three as the inner products of XX' and YY', tile by tile."""
    cross = own = other = 0.0
    step = min(_TILE, max(1, _VALUES // max(left.width, right.width)))
    tiles = [slice(start, min(start + step, len(left))) for start in range(0, len(left), step)]
    for at, rows in enumerate(tiles):
        x, y = left[rows], right[rows]
        for columns in tiles[at:]:
            k, m = x @ left[columns].T, y @ right[columns].T
            twice = 1.0 if columns == rows else 2.0  # the tile on the other side of the diagonal is its mirror
            cross += twice * float(np.vdot(k, m))
            own += twice * _square(k)
            other += twice * _square(m)
    return cross, own, other


def _square(values: Floats) -> float:
    return float(np.vdot(values, values))


def _row_norms(left: _Centred, right: _Centred) -> tuple[Floats, Floats]:
    """Return the squared length of each centred row, float64 [n] of both sides."""
    parts = [[(side[part] ** 2).sum(axis=1) for part in _parts(len(side), side.width)] for side in (left, right)]
    return np.concatenate(parts[0]), np.concatenate(parts[1])


def _pairs(left: Floats, right: Floats) -> tuple[tuple[Floats, Floats], ...]:
    return (left, right), (left, left), (right, right)


def _debiased(norm: float, left: Floats, right: Floats) -> float:
    """Take out of a squared norm what each row has in common with itself alone."""
    count = len(left)
    both = float(left.sum()) * float(right.sum())
    return norm - count / (count - 2) * float(left @ right) + both / ((count - 1) * (count - 2))


def neighbour_overlap(
    first: VectorRows, second: VectorRows, queries: Ints, ks: Sequence[int], tracker: Tracker
) -> dict[int, float]:
    """Tell which share of an item's k nearest both sets of vectors agree on, the mean over some items.

    Parameters
    ----------
    first, second : VectorRows
        [n, D] and [n, D'], scaled as the distances are to be; equal distances go by the row.
    queries : ndarray of int64, [q]
        The items that are asked about; an item is never its own neighbour.
    ks : sequence of int
        Each from 1 to n - 1.
    tracker : Tracker
        Counts queries.

    Returns
    -------
    dict of int to float
        For each k from 0 to 1; k / (n - 1) is what chance gives.
    """
    agreed, longest = dict.fromkeys(sorted(ks), 0), max(ks)
    step = max(1, min(512, _VALUES // longest**2))
    for start in range(0, len(queries), step):
        asked = queries[start : start + step]
        left, right = (_nearest_others(rows, asked, longest) for rows in (first, second))
        same = left[:, :, None] == right[:, None, :]
        for k in agreed:
            agreed[k] += int(same[:, :k, :k].sum())
        tracker.advance(len(asked))
    return {k: shared / (k * len(queries)) for k, shared in agreed.items()}


def _nearest_others(rows: VectorRows, asked: Ints, k: int) -> Ints:
    every = np.arange(len(rows))

    def others(some: Picks, columns: Picks) -> NDArray[np.bool_]:
        return np.asarray(asked[some][:, None] != every[columns][None, :])

    return nearest(_Asked(rows, asked), rows, k, others).indices


@dataclass(frozen=True)
class _Asked:
    """The rows that are asked about."""

    rows: VectorRows
    asked: Ints

    def __len__(self) -> int:
        return len(self.asked)

    def __getitem__(self, some: Picks) -> Floats:
        return np.asarray(self.rows[self.asked[some]], np.float64)
