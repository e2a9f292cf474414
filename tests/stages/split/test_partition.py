"""What holds for every cut: groups stay whole, shares are met, growth moves little."""

import hashlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.split.partition import cut_dev, far_note, hold_out
from store.errors import InputError

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


@pytest.mark.parametrize(
    ("seed", "digest"), [(0, "b0260dc09b6016d8"), (1, "0f745dfa240b9e25"), (2, "4461fd5b8412835c")]
)
def test_the_parts_of_earlier_versions_stay(seed: int, digest: str) -> None:
    drawn = random.Random(seed)  # noqa: S311 (the same on every machine)
    groups = [f"g{drawn.randrange(40)}" for _ in range(400)]
    parts = [*hold_out(groups, 0.2, 0.1, seed), *cut_dev(groups, ["train"] * 400, 0.1, seed)]
    assert hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("large", [30, 50, 70])
def test_a_dominant_group_leaves_the_shares_to_the_others(large: int) -> None:
    groups = ["large"] * large + [f"small-{row}" for row in range(100 - large)]
    for seed in range(200):
        counts = Counter(hold_out(groups, 0.2, 0.1, seed))
        assert abs(counts["test"] - 20) <= 5
        assert abs(counts["dev"] - 8) <= 5
        assert counts["train"] >= 70
        dev = Counter(cut_dev(groups, ["train"] * 100, 0.1, seed))["dev"]
        assert abs(dev - 10) <= 5


@given(GROUPS, SEEDS)
def test_a_cut_never_gets_further_from_its_shares_by_passing_groups_over(groups: list[str], seed: int) -> None:
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda name: hashlib.sha256(f"diptych/split/{seed}/{name}".encode()).digest())
    part_of = dict(zip(groups, cut_dev(groups, ["train"] * len(groups), 0.2, seed), strict=True))
    found = abs(sum(sizes[name] for name, part in part_of.items() if part == "dev") - 0.2 * len(groups))
    borders = [abs(sum(sizes[name] for name in order[:place]) - 0.2 * len(groups)) for place in range(1, len(order))]
    assert found <= min(borders) + 1e-9


def test_what_whole_groups_cannot_give_is_said() -> None:
    groups = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    parts = hold_out(groups, 0.2, 0.1, 0)
    assert Counter(parts) == {"train": 60, "test": 30, "dev": 10}
    (note,) = far_note(groups, parts, 0.1, 0.2)
    assert "expected about 7 of dev, 20 of test, found 10 of dev, 30 of test" in note
    assert "'a', has 60 of 100 rows" in note
    assert far_note(groups, ["train"] * 90 + ["dev"] * 10, 0.1) == ()
