"""How often a 95 % interval of macro F1, and of the difference of two, holds the truth where classes are rare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.intervals import estimate, f1_quotients

SIZES = np.round(np.geomspace(2, 50, 20)).astype(int)
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """Twenty classes of 2 to 50 rows, and two classifiers that find `low` of the rarest, `high` of the commonest.

    A `low` below 0 makes several classes that are never found.

    Attributes
    ----------
    kind : {"fixed", "drawn", "labels"}
        One class a row with just these sizes; with these as expected ones; or several labels a row.
    """

    kind: str
    low: float
    high: float

    @property
    def hits(self) -> NDArray[np.float64]:
        """The share of its rows that each classifier finds of each class, [2, K]; the second finds a little less."""
        hits = np.maximum(0.0, np.linspace(self.low, self.high, len(SIZES)))
        return np.stack([hits, np.maximum(0.01, hits - 0.07)])

    @property
    def rows(self) -> int:
        return 300 if self.kind == "labels" else int(SIZES.sum())

    def truth(self) -> NDArray[np.float64]:
        """Macro F1 of both where there are rows without end."""
        share = SIZES / self.rows
        if self.kind == "labels":
            said = share * self.hits + (1 - share) * self._alarms()
        else:
            said = np.array([share @ self._confusion(hits) for hits in self.hits])
        return np.asarray((2 * share * self.hits / (share + said)).mean(axis=1))

    def draw(self, rng: np.random.Generator) -> tuple[Bools, list[Bools]]:
        """Draw rows: the truth, and what both say; both err on the same rows more often than by chance."""
        if self.kind == "labels":
            return self._labels(rng)
        rows, classes = self.rows, len(SIZES)
        of = np.repeat(np.arange(classes), SIZES) if self.kind == "fixed" else rng.choice(classes, rows, p=SIZES / rows)
        luck, hot = self._luck(rng, (rows,)), np.eye(classes, dtype=bool)
        said = []
        for hits, mine in zip(self.hits, luck, strict=True):
            ways = self._confusion(hits)
            np.fill_diagonal(ways, 0)
            steps = ways.cumsum(axis=1) / ways.sum(axis=1, keepdims=True)
            other = np.minimum((rng.random(rows)[:, None] > steps[of]).sum(axis=1), classes - 1)
            said.append(hot[np.where(mine < hits[of], of, other)])
        return hot[of], said

    def _labels(self, rng: np.random.Generator) -> tuple[Bools, list[Bools]]:
        truth = rng.random((self.rows, len(SIZES))) < SIZES / self.rows
        luck = self._luck(rng, truth.shape)
        rates = zip(luck, self.hits, self._alarms(), strict=True)
        return truth, [np.where(truth, mine < hits, mine < alarms) for mine, hits, alarms in rates]

    def _luck(self, rng: np.random.Generator, shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
        shared = rng.random(shape)
        return [shared, np.where(rng.random(shape) < 0.6, shared, rng.random(shape))]

    def _alarms(self) -> NDArray[np.float64]:
        return np.asarray(SIZES / self.rows * (1 - self.hits) * 0.8)

    def _confusion(self, hits: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each class is taken for, [K, K]: the others by their size."""
        ways = np.tile(SIZES / SIZES.sum(), (len(SIZES), 1))
        np.fill_diagonal(ways, 0)
        ways *= ((1 - hits) / ways.sum(axis=1))[:, None]
        np.fill_diagonal(ways, hits)
        return ways


ENDS = ((-0.6, 0.9), (0.0, 0.5), (0.4, 0.8), (0.8, 0.95))
WORLDS = [World(kind, *ends) for kind in ("fixed", "drawn", "labels") for ends in ENDS]


def held(world: World, times: int) -> tuple[float, float]:
    """Draw anew so many times; how often the truth was held: of macro F1, and of the difference of both."""
    rng, truth, found = np.random.default_rng(0), world.truth(), np.zeros(2)
    one, apart = np.array([1.0, 0.0]), np.array([1.0, -1.0])
    for _ in range(times):
        labels, said = world.draw(rng)
        blocks = f1_quotients(labels, said, np.arange(world.rows))
        single, paired = (estimate(blocks, weights, world.rows) for weights in (one, apart))
        ends = single.share(), paired.difference()
        for each, (low, high) in zip((single, paired), ends, strict=True):
            assert low <= each.value <= high
        found += [low <= at <= high for at, (low, high) in zip((truth[0], truth[0] - truth[1]), ends, strict=True)]
    return float(found[0] / times), float(found[1] / times)


@pytest.mark.parametrize("world", [WORLDS[2], WORLDS[9]], ids=str)
def test_intervals_hold_their_point_always_and_the_truth_nearly_as_often_as_they_say(world: World) -> None:
    assert held(world, 150) == pytest.approx((0.95, 0.95), abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_of_many_draws_93_to_97_in_100_hold_the_truth(world: World) -> None:
    """Where many classes are never found at all, what is lent to them makes the intervals wider than they need be."""
    least, most = (0.93, 0.97) if world.low >= 0 else (0.93, 0.99)
    for share in held(world, 2000):
        assert least <= share <= most
