"""What holds for every cut: groups stay whole, shares are met, growth moves little."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import InputError
from stages.split.partition import hold_out

GROUPS = st.lists(st.integers(0, 40).map(str), min_size=3, max_size=200).filter(lambda groups: len(set(groups)) >= 3)
SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 5)


@given(GROUPS, SHARES, SHARES, SEEDS)
def test_groups_never_straddle_and_no_part_is_empty(groups: list[str], test: float, dev: float, seed: int) -> None:
    parts = hold_out(groups, test, dev, seed)
    assert len(set(zip(groups, parts, strict=True))) == len(set(groups))
    assert set(parts) == {"train", "dev", "test"}


@given(GROUPS, st.floats(0.1, 0.6), st.floats(0.05, 0.5), SEEDS)
def test_shares_are_met_within_a_group(groups: list[str], test: float, dev: float, seed: int) -> None:
    sizes = Counter(groups)
    largest = max(sizes.values())
    counts = Counter(hold_out(groups, test, dev, seed))
    spare = 2 * largest  # dev and train each keep a group, however large
    assert abs(counts["test"] - test * len(groups)) <= spare
    rest = len(groups) - counts["test"]
    assert abs(counts["dev"] - dev * rest) <= spare


@given(st.integers(10, 300), st.floats(0.1, 0.5), st.floats(0.1, 0.5), SEEDS)
def test_shares_of_single_rows_are_exact(rows: int, test: float, dev: float, seed: int) -> None:
    counts = Counter(hold_out([str(row) for row in range(rows)], test, dev, seed))
    assert abs(counts["test"] - test * rows) <= 0.5 + 1e-6
    assert abs(counts["dev"] - dev * (rows - counts["test"])) <= 0.5 + 1e-6


@settings(deadline=None)
@given(st.integers(50, 400), st.integers(0, 40), SEEDS)
def test_growth_moves_no_more_rows_than_it_adds_on_each_border(rows: int, added: int, seed: int) -> None:
    before = hold_out([str(row) for row in range(rows)], 0.2, 0.1, seed)
    after = hold_out([str(row) for row in range(rows + added)], 0.2, 0.1, seed)
    moved = sum(old != new for old, new in zip(before, after, strict=False))
    assert moved <= 2 * (added + 1)


@given(GROUPS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(groups: list[str], seed: int, random: object) -> None:
    shuffled = list(groups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = dict(zip(groups, hold_out(groups, 0.2, 0.1, seed), strict=True))
    assert first == dict(zip(shuffled, hold_out(shuffled, 0.2, 0.1, seed), strict=True))


def test_another_seed_is_another_cut() -> None:
    groups = [str(row) for row in range(100)]
    assert hold_out(groups, 0.2, 0.1, 0) != hold_out(groups, 0.2, 0.1, 1)


@pytest.mark.parametrize("groups", [[], ["a"], ["a", "a", "b"]])
def test_fewer_than_three_groups_are_refused(groups: list[str]) -> None:
    with pytest.raises(InputError, match="at least 3 groups"):
        hold_out(groups, 0.2, 0.1, 0)
