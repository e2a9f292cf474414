"""Intervals: of plain shares and means against the textbook, and what must hold for any counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, t

from stages.models.measures.intervals import (
    Estimate,
    Quotients,
    by_group,
    estimate,
    f1_quotients,
    mean_estimates,
    named_ends,
)
from stages.models.measures.swaps import paired_f1, paired_mean

QUIET = settings(max_examples=60, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def of_share(hits: int, rows: int) -> tuple[float, float]:
    return mean_estimates((np.arange(rows) < hits)[:, None].astype(float), np.arange(rows))[0].share()


@QUIET
@given(SEEDS)
def test_sums_over_groups_are_those_of_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 20))
    values, groups = rng.normal(size=(rows, 3)), rng.integers(0, 5, size=rows) * 7
    np.testing.assert_allclose(
        by_group(values, groups), [values[groups == name].sum(axis=0) for name in np.unique(groups)]
    )


@pytest.mark.parametrize(("hits", "rows"), [(0, 30), (30, 30), (15, 30), (380, 400)])
def test_the_interval_of_a_share_is_wilsons(hits: int, rows: int) -> None:
    share, z = hits / rows, t.ppf(0.975, rows - 1)
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    assert of_share(hits, rows) == pytest.approx((middle - reach, middle + reach), abs=0.004)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("rows", [20, 60])
def test_the_interval_of_a_share_holds_it_as_often_as_it_says(share: float, rows: int) -> None:
    ends = np.array([of_share(hits, rows) for hits in range(rows + 1)])
    held = binom.pmf(np.arange(rows + 1), rows, share)[(ends[:, 0] <= share) & (share <= ends[:, 1])].sum()
    assert 0.93 <= held <= 0.985  # counts are whole numbers, so that just 0.95 is not to be had


def test_the_interval_of_an_error_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(30, 400)) ** 2  # means of 30 squares, four hundred times
    ends = np.array([each.error() for each in mean_estimates(drawn, np.arange(30))])
    assert np.mean((ends[:, 0] <= 1) & (ends[:, 1] >= 1)) == pytest.approx(0.95, abs=0.03)


def test_paired_means_that_mostly_agree_differ_by_an_interval_that_holds_the_truth() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        luck = rng.random(60)
        other = np.where(rng.random(60) < 0.7, luck, rng.random(60))
        estimated = mean_estimates(((luck < 0.9) * 1.0 - (other < 0.85))[:, None], np.arange(60))[0]
        low, high = estimated.difference()
        held += low <= 0.05 <= high
    assert held / 300 == pytest.approx(0.95, abs=0.035)


@QUIET
@given(SEEDS)
def test_every_interval_holds_its_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, classes = int(rng.integers(1, 40)), int(rng.integers(1, 50))
    truth = rng.random((rows, classes)) < rng.choice([0.0, 0.02, 0.1, 0.6], classes)
    said = [np.where(rng.random(truth.shape) < rng.random(), truth, rng.random(truth.shape) < 0.05) for _ in range(3)]
    groups = rng.integers(0, max(1, rows // 2), rows)
    one = estimate(f1_quotients(truth, said, groups), np.full(3, 1 / 3), len(np.unique(groups)))
    assert 0 <= one.share()[0] <= one.value <= one.share()[1] <= 1
    pair = paired_f1(truth, said[:1], said[1:], groups)
    assert pair.low <= pair.difference + 1e-12
    assert pair.difference - 1e-12 <= pair.high
    values = rng.exponential(size=rows) * (rng.random(rows) < 0.2)
    error = mean_estimates(values[:, None], groups)[0]
    assert 0 <= error.error()[0] <= error.value <= error.error()[1]
    apart = paired_mean(values, rng.permutation(values), groups)
    assert apart.low <= apart.difference + 1e-12
    assert apart.difference - 1e-12 <= apart.high


def test_rare_classes_that_are_never_found_do_not_push_the_interval_off_its_point() -> None:
    """Draws with replacement lose such classes, and are all above the point: .171 in [.182, .250] here."""
    truth, said = np.zeros((120, 40), bool), np.zeros((120, 40), bool)
    truth[np.arange(72), np.arange(72) % 8] = said[np.arange(72), np.arange(72) % 8] = True
    said[:18] = False
    truth[72 + np.arange(48), 8 + np.arange(48) % 32] = True
    found = estimate(f1_quotients(truth, [said], np.arange(120)), np.ones(1), 120)
    low, high = found.share()
    assert low <= found.value < high
    assert found.value == pytest.approx(0.171, abs=0.001)


def test_a_class_that_no_row_bears_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((40, 3)) < 0.3
    said, nobody = truth ^ (rng.random((40, 3)) < 0.2), np.zeros((40, 1), bool)
    wide = [np.concatenate([each, nobody], axis=1) for each in (truth, said)]
    narrow = estimate(f1_quotients(truth, [said], np.arange(40)), np.ones(1), 40)
    assert estimate(f1_quotients(wide[0], [wide[1]], np.arange(40)), np.ones(1), 40) == narrow


def test_blocks_of_classes_add_up_as_one() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((50, 70)) < 0.1
    said, groups = truth ^ (rng.random((50, 70)) < 0.05), np.arange(50) // 2
    parts = estimate(f1_quotients(truth, [said], groups), np.ones(1), 25)
    whole = estimate([Quotients.f1(truth, [said], groups)], np.ones(1), 25)
    assert vars(parts) == pytest.approx(vars(whole))


def test_where_nothing_was_asked_nearly_nothing_is_known() -> None:
    nothing = estimate([Quotients.single(np.zeros((9, 1)), np.zeros((9, 1)))], np.ones(1), 9)
    low, high = nothing.share()
    assert (nothing.value, low) == (0.0, 0.0)
    assert high > 0.9


def test_ends_are_rounded_outwards() -> None:
    assert named_ends({"mse": (0.1234567, 0.1234567)}) == {"mse_low": 0.123456, "mse_high": 0.123457}
    assert Estimate(0.0, 0.0, 0.0, 0.1, 0.1).error() == (0.0, 0.0)


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
