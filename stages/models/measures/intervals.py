"""95 % intervals of metrics that are means of quotients of sums over items; `evaluate`, `retrieve` and `pairs` ask.

How far would a metric move with other items of the same kind? Its variance is linearised over whole groups, since the
rows of one group (the captions of one picture, the editions of one work) are not independent of each other. Nothing is
drawn. docs/evaluation.md has the formulas, and how often such intervals hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Groups = NDArray[np.int64]
Interval = tuple[float, float]

_SHARE = 0.5  # of a typical event, lent to every class
_LEAST_REST = 0.2  # of a class that is left without one of its groups
_BLOCK = 32  # classes
_TAIL = 0.975


def by_group(values: NDArray[np.generic], groups: Groups) -> Floats:
    """Sum rows [n, K] over their groups: float64 [G, K], in the order of the groups' numbers."""
    names, place = np.unique(groups, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(names)))
    return np.add.reduceat(values[order].astype(np.float64), starts, axis=0)


@dataclass(frozen=True)
class Quotients:
    """What the quotients of some classes are summed from, over just the groups that have any of it.

    Attributes
    ----------
    groups : ndarray of int64, [g]
        Which of all groups.
    counts : ndarray of float64, [g, 2, S, C]
        What stands above the line, then below it, of each of S results.
    seen : ndarray of bool, [C]
        The classes that count.
    """

    groups: Groups
    counts: Floats
    seen: Bools

    @classmethod
    def f1(cls, truth: Bools, decisions: Sequence[Bools], groups: Groups) -> Self:
        """Count F1 of decisions [n, C]: 2 TP over 2 TP + FP + FN; classes that no row bears do not count."""
        values = np.concatenate([truth, *(truth & each for each in decisions), *decisions], axis=1)
        rows = np.flatnonzero(values.any(axis=1))
        sums = by_group(values[rows], groups[rows]) if len(rows) else np.zeros((0, values.shape[1]))
        support, counts = np.split(sums, [truth.shape[1]], axis=1)
        counts = counts.reshape(len(sums), 2, len(decisions), truth.shape[1])
        counts[:, 0] *= 2
        counts[:, 1] += support[:, None]
        return cls(np.searchsorted(np.unique(groups), np.unique(groups[rows])), counts, np.asarray(truth.any(axis=0)))

    @classmethod
    def single(cls, above: Floats, below: Floats) -> Self:
        """Take one quotient of sums over all groups, of S results: [G, S] each."""
        return cls(np.arange(len(above)), np.stack([above, below], axis=1)[..., None], np.ones(1, np.bool_))


def f1_quotients(truth: Bools, decisions: Sequence[Bools], groups: Groups) -> list[Quotients]:
    """Count S decisions [n, K], a block of classes at a time.

    With one class a row and thousands of classes most groups have nothing in most blocks, and take no room there.
    """
    cuts = (slice(start, start + _BLOCK) for start in range(0, truth.shape[1], _BLOCK))
    return [Quotients.f1(truth[:, cut], [each[:, cut] for each in decisions], groups) for cut in cuts]


def quotients(above: Floats, below: Floats) -> Floats:
    """Return above / below, and 0 where nothing stands below."""
    return np.divide(above, below, out=np.zeros(np.shape(below)), where=below > 0)


@dataclass(frozen=True)
class Estimate:
    """A weighted sum over results of the mean quotient over classes, and how far it would move.

    Attributes
    ----------
    value : float
        As it was measured.
    centre : float
        The same after each class has been lent a share of a typical event.
    variance : float
        Over draws of groups.
    unit : float
        The sum of the squared weights of the groups: the inverse of how many equal groups would weigh as evenly.
    kurtosis : float
        The inverse of the degrees of freedom by Satterthwaite: large where few groups make most of the variance.
    """

    value: float
    centre: float
    variance: float
    unit: float
    kurtosis: float

    def share(self) -> Interval:
        """Return the interval of a metric between 0 and 1, by Wilson's score and the effective number of groups."""
        at = min(max(self.centre, 0.0), 1.0)
        spread = at * (1 - at)
        each = self.variance / spread if self.variance > 0 and spread > 0 else self.unit
        wide = self._student() ** 2 * each
        middle = (at + wide / 2) / (1 + wide)
        reach = math.sqrt(wide * spread + wide**2 / 4) / (1 + wide)
        return self._holding(max(0.0, middle - reach), min(1.0, middle + reach))

    def difference(self) -> Interval:
        """Return the interval of a difference, as far to the one side as to the other."""
        reach = self._student() * math.sqrt(self.variance)
        return self._holding(self.centre - reach, self.centre + reach)

    def error(self) -> Interval:
        """Return the interval of a mean that is 0 or more and has no upper end, on the scale of its logarithm."""
        if self.value <= 0:
            return 0.0, 0.0
        factor = math.exp(min(self._student() * math.sqrt(self.variance) / self.value, 700.0))
        return self._holding(self.value / factor, self.value * factor)

    def _student(self) -> float:
        """Return the quantile of Student's t whose freedom lies between both: fewer groups know their variance less."""
        even = max(1 / self.unit - 1, 2.0)
        return float(stdtrit(2 / (1 / even + self.kurtosis), _TAIL))

    def _holding(self, low: float, high: float) -> Interval:
        return min(low, self.value), max(high, self.value)


def named_ends(found: Mapping[str, Interval]) -> dict[str, float]:
    """Return `<metric>_low` and `<metric>_high`, rounded outwards to six digits: what an interval holds it keeps."""
    lows = {f"{name}_low": math.floor(low * 1e6) / 1e6 for name, (low, _) in found.items()}
    return lows | {f"{name}_high": math.ceil(high * 1e6) / 1e6 for name, (_, high) in found.items()}


def estimate(blocks: Sequence[Quotients], weights: Floats, groups: int) -> Estimate:
    """Estimate the mean quotient over the classes that count.

    Parameters
    ----------
    blocks : sequence of Quotients
        All classes, of the same S results.
    weights : ndarray of float64, [S]
        What each result weighs: 1 / S for the mean of seeds; the negative of that for what is subtracted.
    groups : int
        How many groups there are.
    """
    kept = [Quotients(each.groups, each.counts[..., each.seen], each.seen) for each in blocks]
    lent = _Lent.of(kept, weights)
    if lent is None:
        return Estimate(0.0, 0.0, 0.0, 1.0, 1.0)
    moved, weight, apart = np.zeros(groups), np.zeros(groups), []
    value = centre = 0.0
    for block in kept:
        part = lent.linearised(block.counts)
        np.add.at(moved, block.groups, part.moved)
        np.add.at(weight, block.groups, part.weight)
        apart.append(part.apart)
        value, centre = value + part.value, centre + part.centre
    classes = sum(len(each) for each in apart)
    squares = np.concatenate([moved**2, *apart])
    variance = float(squares.sum())
    unit = float((weight**2).sum() / weight.sum() ** 2)
    kurtosis = float((squares**2).sum()) / variance**2 if variance > 0 else unit
    return Estimate(value / classes, centre / classes, variance / classes**2, unit, kurtosis)


@dataclass(frozen=True)
class _Part:
    """Sums over the classes of a block: what each group moves them, [g], and weighs in them; `apart` is by class."""

    value: float
    centre: float
    moved: Floats
    weight: Floats
    apart: Floats


@dataclass(frozen=True)
class _Lent:
    """A typical event of all classes: its `mean` [2 S] and second `moments` [2 S, 2 S]; `weights` [S] of the results.

    A class of two rows that are both hits shows no variance and has some. What is lent to it, a share of what the
    events of all classes are like on average, keeps it from being taken for certain. An event is a group that has
    anything of a class. Each class has the same say, as in the metric: the rare ones, to which it matters, are often
    worse than the others.
    """

    mean: Floats
    moments: Floats
    weights: Floats

    @classmethod
    def of(cls, blocks: Sequence[Quotients], weights: Floats) -> Self | None:
        """Average over the classes; None where there is no event."""
        mean, moments, classes = np.zeros(2 * len(weights)), np.zeros((2 * len(weights),) * 2), 0
        for block in blocks:
            happened = np.asarray((block.counts[:, 1] > 0).any(axis=1))  # [g, C]
            share = happened / np.maximum(1, happened.sum(axis=0))
            events = block.counts.reshape(len(happened), len(mean), -1)
            mean += np.einsum("gic,gc->i", events, share)
            moments += np.einsum("gic,gjc->ij", events * share[:, None], events, optimize=True)
            classes += int(happened.any(axis=0).sum())
        return cls(mean / classes, moments / classes, weights) if classes else None

    def linearised(self, counts: Floats) -> _Part:
        above, below = counts[:, 0], counts[:, 1]  # [g, S, C]
        more, under = (_SHARE * each[:, None] for each in np.split(self.mean, 2))
        sizes = below.sum(axis=0) + under
        smooth = quotients(above.sum(axis=0) + more, sizes)
        slope = quotients(np.broadcast_to(self.weights[:, None], sizes.shape), sizes)
        lever = quotients(below, np.broadcast_to(sizes, below.shape))
        rest = np.sqrt(np.maximum(1 - lever, _LEAST_REST))
        moved = (slope * (above - smooth * below) / rest).sum(axis=(1, 2))
        ways = np.concatenate([slope, -slope * smooth])  # [2 S, C]
        apart = _SHARE * np.maximum(np.einsum("ic,ij,jc->c", ways, self.moments, ways), 0.0)
        value = self.weights @ quotients(above.sum(axis=0), below.sum(axis=0)).sum(axis=1)
        centre = self.weights @ smooth.sum(axis=1)
        return _Part(float(value), float(centre), moved, (np.abs(self.weights) @ lever).sum(axis=1), apart)


def mean_estimates(values: Floats, groups: Groups) -> list[Estimate]:
    """Estimate the mean over rows of each column of values [n, M], groups [n] telling which rows belong together."""
    sums, counts = by_group(values, groups), by_group(np.ones((len(groups), 1)), groups)
    one = np.ones(1)
    return [estimate([Quotients.single(column[:, None], counts)], one, len(counts)) for column in sums.T]
