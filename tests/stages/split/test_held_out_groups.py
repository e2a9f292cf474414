"""P-group: which values are held out by which seed, whole groups on one side, and who asks within."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import InputError
from stages.split.held_out_groups import by_held_out, held_out_values, roles_within

DIRECTORIES = ["0", "1", "2", "3", "4", "5"]


def test_seed_0_holds_out_the_last_two_directories() -> None:
    assert held_out_values(DIRECTORIES, 2, 0) == ["4", "5"]


def test_ten_repetitions_hold_out_ten_pairs_and_each_directory_a_few_times() -> None:
    pairs = [tuple(held_out_values(DIRECTORIES, 2, seed)) for seed in range(10)]
    assert len(set(pairs)) == 10
    times = [sum(directory in pair for pair in pairs) for directory in DIRECTORIES]
    assert min(times) >= 2
    assert max(times) <= 4


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 9), st.data())
def test_no_choice_comes_again_before_all_were_made(count: int, data: st.DataObject) -> None:
    values = [str(value) for value in range(count)]
    size = data.draw(st.integers(1, count - 1))
    every = {tuple(each) for each in combinations(values, size)}
    made = [tuple(held_out_values(values, size, seed)) for seed in range(len(every) + 1)]
    assert set(made[:-1]) == every
    assert made[-1] == made[0] == tuple(values[-size:])


def test_numbers_are_ordered_as_numbers_and_the_order_given_does_not_matter() -> None:
    assert held_out_values(["10", "9", "2", "b", "a"], 4, 0) == ["9", "10", "a", "b"]
    assert held_out_values([*reversed(DIRECTORIES)], 2, 7) == held_out_values(DIRECTORIES, 2, 7)


def test_many_values_and_large_seeds_take_no_time() -> None:
    values = [str(value) for value in range(75)]
    chosen = held_out_values(values, 15, 2**31)
    assert len(set(chosen)) == 15


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 30), min_size=40, max_size=120), st.integers(0, 5))
def test_groups_never_straddle(numbers: list[int], seed: int) -> None:
    groups = [str(number) for number in [*numbers, *range(6)]]
    held = [int(group) % 6 > 3 for group in groups]
    parts = by_held_out(groups, held, 0.2, seed)
    assert len(set(zip(groups, parts, strict=True))) == len(set(groups))
    assert [part == "test" for part in parts] == held
    assert "dev" in parts


def test_a_group_on_both_sides_is_refused() -> None:
    with pytest.raises(InputError, match="'g0'"):
        by_held_out(["g0", "g0", "g1"], [True, False, False], 0.2, 0)


def test_permutation_0_asks_for_the_others_within_the_held_out_rows() -> None:
    held = [False, True, True, True]
    roles, counts = roles_within([0, 1, 1, 1], held, ["0", "0", "1", None], strict_text=False)
    assert roles == [None, "query", "gallery", "gallery"]
    assert counts == {"spanning_labels": 0, "spanning_rows": 0}


def test_labels_that_stand_outside_as_well_are_counted_and_may_lose_their_role() -> None:
    labels, held = [0, None, 0, 1, 1, None], [False, False, True, True, True, True]
    within = ["0", "0", "0", "0", "1", "1"]
    lenient, counts = roles_within(labels, held, within, strict_text=False)
    strict, again = roles_within(labels, held, within, strict_text=True)
    assert lenient == [None, None, "query", "query", "gallery", "gallery"]
    assert strict == [None, None, None, "query", "gallery", "gallery"]
    assert counts == again == {"spanning_labels": 1, "spanning_rows": 1}


@pytest.mark.parametrize(("within", "role"), [(["1", "2"], "query"), (["0", "0"], "gallery")])
def test_somebody_must_ask_and_somebody_must_be_found(within: list[str], role: str) -> None:
    with pytest.raises(InputError, match=f"held-out rows for the {role}"):
        roles_within([0, 0], [True, True], within, strict_text=False)
