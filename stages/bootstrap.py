"""How far a number would move with another draw of groups, and whether two experiments differ by more than that.

`evaluate` takes its intervals from here, `report` the differences between experiments. Both draw groups, never rows:
the rows of one group (the captions of one picture, the editions of one work) are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Groups = NDArray[np.int64]
Interval = tuple[float, float]

_DRAWS = 1000
_SWAPS = 10_000  # a p below 0.05 must be within reach after Holm's correction for a hundred pairs
_CHUNK_CELLS = 1 << 22  # of draws x groups held at once
_BLOCK = 32  # classes
_TAIL = 2.5  # percent on each side
_EQUAL = 1e-12  # differences that only rounding sets apart


@dataclass(frozen=True)
class Paired:
    """Two experiments on the same rows.

    Attributes
    ----------
    difference : float
        The first's value minus the second's.
    low, high : float
        The 95 % interval of the difference, both being scored on the same draws of groups.
    p : float
        Two-sided, of a randomization test: how often the difference is at least as far from 0 when it is left to
        chance, group by group, which results are called the first's. 1 for equal results.
    """

    difference: float
    low: float
    high: float
    p: float


def by_group(values: NDArray[np.generic], groups: Groups) -> Floats:
    """Sum rows [n, K] over their groups: float64 [G, K], in the order of the groups' numbers."""
    names, place = np.unique(groups, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(names)))
    return np.add.reduceat(values[order].astype(np.float64), starts, axis=0)


def draws(groups: int) -> Iterator[Floats]:
    """Yield how often each group is drawn, float64 [draws, G], in chunks that fit in memory.

    1,000 draws of as many groups as there are, with replacement, by a fixed seed: all that is asked about the same rows
    is asked about the same draws.
    """
    rng = np.random.default_rng(0)
    even = np.full(groups, 1.0 / groups)
    for size in _chunks(_DRAWS, groups):
        yield rng.multinomial(groups, even, size=size).astype(np.float64)


def percentiles(values: Sequence[Floats]) -> Interval:
    """Return the ends of the 95 % interval of drawn values that came in chunks."""
    low, high = np.percentile(np.concatenate(values), [_TAIL, 100 - _TAIL])
    return float(low), float(high)


def mean_interval(values: Floats, groups: Groups) -> list[Interval]:
    """Return the 95 % interval of the mean over rows of each column of values [n, M], whole groups being drawn."""
    sums, counts = by_group(values, groups), by_group(np.ones((len(groups), 1)), groups)
    means = np.concatenate([(weights @ sums) / (weights @ counts) for weights in draws(len(sums))])
    return [percentiles([column]) for column in means.T]


@dataclass(frozen=True)
class F1Counts:
    """What F1 is counted from, for some of the classes and just the groups that have any of it.

    Attributes
    ----------
    groups : ndarray of int64, [g]
        Which of all groups.
    counts : ndarray of float64, [g, 2, S, C]
        Hits, then 2 TP + FP + FN, of each of S decisions.
    support : ndarray of float64, [g, C]
    """

    groups: Groups
    counts: Floats
    support: Floats

    @classmethod
    def of(cls, truth: Bools, decisions: Sequence[Bools], groups: Groups) -> Self:
        """Count decisions [n, C] of the rows of each group."""
        values = np.concatenate([truth, *(truth & each for each in decisions), *decisions], axis=1)
        rows = np.flatnonzero(values.any(axis=1))
        sums = by_group(values[rows], groups[rows]) if len(rows) else np.zeros((0, values.shape[1]))
        support, counts = np.split(sums, [truth.shape[1]], axis=1)
        counts = counts.reshape(len(sums), 2, len(decisions), truth.shape[1])
        counts[:, 1] += support[:, None]
        return cls(np.searchsorted(np.unique(groups), np.unique(groups[rows])), counts, support)


def f1_counts(truth: Bools, decisions: Sequence[Bools], groups: Groups) -> list[F1Counts]:
    """Count S decisions [n, K], a block of classes at a time.

    With one class a row and thousands of classes most groups have nothing in most blocks, and take no room there.
    """
    cuts = (slice(start, start + _BLOCK) for start in range(0, truth.shape[1], _BLOCK))
    return [F1Counts.of(truth[:, cut], [each[:, cut] for each in decisions], groups) for cut in cuts]


def drawn_f1(weights: Floats, blocks: Sequence[F1Counts]) -> Floats:
    """Return macro F1 over classes with support [d, S] of draws [d, G]."""
    total, classes = np.zeros(()), np.zeros(())
    for block in blocks:
        mine = weights[:, block.groups]
        seen = mine @ block.support > 0
        pooled = (mine @ block.counts.reshape(len(block.counts), -1)).reshape(-1, *block.counts.shape[1:])
        total = total + _sum_f1(pooled, seen[:, None, :])
        classes = classes + seen.sum(axis=1)[:, None]
    return np.asarray(total / np.maximum(1, classes))


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
    blocks = f1_counts(truth, [*first, *second], groups)
    each = [drawn_f1(weights, blocks) for weights in draws(len(np.unique(groups)))]
    drawn = [f1[:, : len(first)].mean(axis=1) - f1[:, len(first) :].mean(axis=1) for f1 in each]
    swaps = [_Swap.of(block, len(first), len(second)) for block in blocks]
    moving = np.unique(np.concatenate([each.groups for each in swaps]))
    seen = max(1, sum(int(each.seen.sum()) for each in swaps))

    def swapped(signs: Floats) -> Floats:
        return np.asarray(sum(each.difference(signs, moving) for each in swaps) / seen)

    return _paired(swapped, len(moving), drawn)


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
    counts = by_group(np.ones((len(groups), 1)), groups)
    drawn = [((weights @ apart) / (weights @ counts))[:, 0] for weights in draws(len(counts))]
    moved = apart[np.flatnonzero(apart[:, 0])]
    return _paired(lambda signs: np.asarray((signs @ moved)[:, 0] / len(groups)), len(moved), drawn)


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
    hits, sizes = pooled[:, 0], pooled[:, 1]
    f1 = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    return np.asarray((f1 * seen).sum(axis=-1))


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
    def of(cls, block: F1Counts, first: int, second: int) -> Self:
        # Fewer seeds are repeated until both have as many: the means stay, and each has a partner to be swapped with.
        pairs = np.arange(math.lcm(first, second))
        one, two = block.counts[:, :, pairs % first], block.counts[:, :, first + pairs % second]
        half = (one - two) / 2
        differ = half.any(axis=(1, 2, 3))
        middle = (one + two).sum(axis=0) / 2
        return cls(block.groups[differ], half[differ], middle, np.asarray(block.support.any(axis=0)))

    def difference(self, signs: Floats, moving: Groups) -> Floats:
        """Return first minus second [d], summed over the classes, with signs [d, moving] that say who is first."""
        mine = signs[:, np.searchsorted(moving, self.groups)]
        moved = (mine @ self.half.reshape(len(self.half), self.middle.size)).reshape(-1, *self.middle.shape)
        one, two = (_sum_f1(each, self.seen) for each in (self.middle + moved, self.middle - moved))
        return np.asarray((one - two).mean(axis=1))


def _paired(swapped: Callable[[Floats], Floats], moving: int, drawn: Sequence[Floats]) -> Paired:
    """Put the test and the interval together; `swapped` gives the difference [d] of signs [d, moving]."""
    observed = float(swapped(np.ones((1, moving)))[0])
    low, high = percentiles(drawn)
    values = np.concatenate([swapped(signs) for signs in _signs(moving)])
    far = int((np.abs(values) >= abs(observed) - _EQUAL).sum())
    return Paired(observed, low, high, far / len(values))


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
