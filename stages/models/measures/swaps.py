"""Whether two experiments differ by more than chance, on the same rows: `report` and `diptych compare` ask.

Results are swapped by whole groups, never by rows: the rows of one group (the captions of one picture, the editions of
one work) are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from stages.models.measures.intervals import (
    Bools,
    Floats,
    Groups,
    Interval,
    Quotients,
    by_group,
    estimate,
    f1_quotients,
    mean_estimates,
    quotients,
)

_SWAPS = 10_000  # a p below 0.05 must be within reach after Holm's correction for a hundred pairs
_CHUNK_CELLS = 1 << 22  # of swaps x groups held at once
_EQUAL = 1e-12  # differences that only rounding sets apart


@dataclass(frozen=True)
class Paired:
    """Two experiments on the same rows.

    Attributes
    ----------
    difference : float
        The first's value minus the second's.
    low, high : float
        The 95 % interval of the difference over other groups, the same for both.
    p : float
        Two-sided, of a randomization test: how often the difference is at least as far from 0 when it is left to
        chance, group by group, which results are called the first's. 1 for equal results.
    """

    difference: float
    low: float
    high: float
    p: float


def paired_f1(truth: Bools, first: Sequence[Bools], second: Sequence[Bools], groups: Groups) -> Paired:
    """Compare two experiments by macro F1 over classes with support, each the mean over its seeds.

    Parameters
    ----------
    truth : ndarray of bool, [n, K]
    first, second : sequence of ndarray of bool, [n, K]
        The decisions, one array for each seed; the experiments may differ in how many seeds they have.
    groups : ndarray of int64, [n]
        The same number for rows that are drawn, or swapped, together.
    """
    blocks = f1_quotients(truth, [*first, *second], groups)
    weights = np.repeat([1 / len(first), -1 / len(second)], [len(first), len(second)])
    swaps = [_Swap.of(block, len(first), len(second)) for block in blocks]
    moving = np.unique(np.concatenate([each.groups for each in swaps]))
    seen = max(1, sum(int(each.seen.sum()) for each in swaps))

    def swapped(signs: Floats) -> Floats:
        return np.asarray(sum(each.difference(signs, moving) for each in swaps) / seen)

    found = estimate(blocks, weights, len(np.unique(groups)))
    return _paired(swapped, len(moving), found.difference())


def paired_mean(first: Floats, second: Floats, groups: Groups) -> Paired:
    """Compare two experiments by a metric that is a mean over rows, such as accuracy or the squared error.

    Parameters
    ----------
    first, second : ndarray of float64, [n]
        What each row counts, the mean over the seeds.
    groups : ndarray of int64, [n]
        The same number for rows that are drawn, or swapped, together.
    """
    apart = by_group((first - second)[:, None], groups)
    (found,) = mean_estimates((first - second)[:, None], groups)
    moved = apart[np.flatnonzero(apart[:, 0])]
    return _paired(lambda signs: np.asarray((signs @ moved)[:, 0] / len(groups)), len(moved), found.difference())


def holm(p: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number by Holm's step-down method, in their order.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    corrected, worst = [0.0] * len(p), 0.0
    for rank, at in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        worst = max(worst, min(1.0, (len(p) - rank) * p[at]))
        corrected[at] = worst
    return corrected


def _sum_f1(pooled: Floats, seen: Bools) -> Floats:
    """Return the sum [d, S] of the F1 of classes with support, from counts [d, 2, S, C]."""
    return np.asarray((quotients(pooled[:, 0], pooled[:, 1]) * seen).sum(axis=-1))


@dataclass(frozen=True)
class _Swap:
    """What a swap of two experiments' results moves, for some of the classes.

    Attributes
    ----------
    groups : ndarray of int64, [g]
        Those in which the two differ.
    half : ndarray of float64, [g, 2, S, C]
        Half of the first's counts minus the second's: a swap takes twice of it from the one to the other.
    middle : ndarray of float64, [2, S, C]
        The mean of both, over all groups.
    seen : ndarray of bool, [C]
    """

    groups: Groups
    half: Floats
    middle: Floats
    seen: Bools

    @classmethod
    def of(cls, block: Quotients, first: int, second: int) -> Self:
        # Fewer seeds are repeated until both have as many: the means stay, and each has a partner to be swapped with.
        pairs = np.arange(math.lcm(first, second))
        one, two = block.counts[:, :, pairs % first], block.counts[:, :, first + pairs % second]
        half = (one - two) / 2
        differ = half.any(axis=(1, 2, 3))
        middle = (one + two).sum(axis=0) / 2
        return cls(block.groups[differ], half[differ], middle, block.seen)

    def difference(self, signs: Floats, moving: Groups) -> Floats:
        """Return first minus second [d], summed over the classes, with signs [d, moving] that say who is first."""
        mine = signs[:, np.searchsorted(moving, self.groups)]
        moved = (mine @ self.half.reshape(len(self.half), self.middle.size)).reshape(-1, *self.middle.shape)
        one, two = (_sum_f1(each, self.seen) for each in (self.middle + moved, self.middle - moved))
        return np.asarray((one - two).mean(axis=1))


def _paired(swapped: Callable[[Floats], Floats], moving: int, interval: Interval) -> Paired:
    """Put the test and the interval together; `swapped` gives the difference [d] of signs [d, moving]."""
    if not moving:
        return Paired(0.0, 0.0, 0.0, 1.0)
    observed = float(swapped(np.ones((1, moving)))[0])
    values = np.concatenate([swapped(signs) for signs in _signs(moving)])
    far = int((np.abs(values) >= abs(observed) - _EQUAL).sum())
    return Paired(observed, *interval, far / len(values))


def _signs(moving: int) -> Iterator[Floats]:
    """Yield who is called first, 1 or -1 in float64 [d, moving]: every way if they are few, else the given and 9,999.

    The way that was observed is one of them, so that no p is 0.
    """
    if moving < _SWAPS.bit_length():
        ways = np.arange(2**moving)[:, None] >> np.arange(moving) & 1
        yield np.where(ways, -1.0, 1.0)
        return
    yield np.ones((1, moving))
    rng = np.random.default_rng(0)
    for size in _chunks(_SWAPS - 1, moving):
        bits = np.unpackbits(np.frombuffer(rng.bytes(size * (-(-moving // 8))), np.uint8).reshape(size, -1), axis=1)
        yield np.where(bits[:, :moving], -1.0, 1.0)


def _chunks(total: int, groups: int) -> Iterator[int]:
    """Yield how many draws are made at once, of `total`."""
    step = max(1, min(total, _CHUNK_CELLS // groups))
    yield from (min(step, total - start) for start in range(0, total, step))
