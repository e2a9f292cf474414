"""The protocols of retrieval: rows cut within each label, values of a column held out, and who asks for whom."""

from collections import Counter, defaultdict
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.split.retrieval_protocols import by_held_out, by_rows, held_out_values, roles_within
from store.errors import InputError

LABELS = st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=120).map(lambda labels: [*labels, *([0] * 24)])


def names(count: int) -> list[str]:
    return [f"r{row}" for row in range(count)]


def per_label(labels: list[int | None], parts: list[str]) -> dict[int | None, Counter[str]]:
    counts: defaultdict[int | None, Counter[str]] = defaultdict(Counter)
    for label, part in zip(labels, parts, strict=True):
        counts[label][part] += 1
    return counts


@settings(deadline=None, max_examples=50)
@given(LABELS, st.floats(0.1, 0.5), st.integers(0, 3))
def test_every_label_of_test_trains_and_shares_are_even(labels: list[int | None], test: float, seed: int) -> None:
    cut = by_rows(names(len(labels)), names(len(labels)), labels, test, 0.1, seed)
    counts = per_label(labels, [*cut.parts])
    drawable = [label for label, count in counts.items() if label is not None and count.total() > 1]
    assert all(counts[label]["train"] >= 1 for label in counts)
    assert all(abs(counts[label]["test"] - test * counts[label].total()) < 1 + 1e-9 for label in drawable)
    assert set(counts[None]) <= {"train"}
    wanted = test * sum(counts[label].total() for label in drawable)
    tested = Counter(cut.parts)["test"]
    assert tested <= wanted + 0.5 + 1e-9
    if all(counts[label].total() > 2 for label in drawable):
        assert tested >= wanted - 0.5 - 1e-9


def test_singletons_and_unlabelled_rows_train() -> None:
    labels = [*([1] * 10), 2, 3, None, None]
    cut = by_rows(names(14), names(14), labels, 0.5, 0.2, 0)
    assert [*cut.parts[10:]] == ["train"] * 4
    assert Counter(cut.parts) == {"train": 8, "dev": 1, "test": 5}


def test_test_rows_ask_and_all_others_may_be_found() -> None:
    cut = by_rows(names(30), names(30), [row % 3 for row in range(30)], 0.2, 0.1, 0)
    assert cut.roles == ["query" if part == "test" else "gallery" for part in cut.parts]
    assert Counter(cut.parts) == {"train": 22, "dev": 2, "test": 6}


def test_groups_are_ignored_counted_and_told_of() -> None:
    groups = [str(row // 6) for row in range(60)]
    cut = by_rows(names(60), groups, [0] * 60, 0.5, 0.1, 0)
    straddling = sum(len({cut.parts[row] == "test" for row in range(at, at + 6)}) == 2 for at in range(0, 60, 6))
    assert cut.counts == {"straddling_groups": straddling}
    assert straddling > 5
    assert "on purpose" in cut.notes[0]


@settings(deadline=None, max_examples=50)
@given(LABELS, st.integers(0, 3), st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(labels: list[int | None], seed: int, shuffle: int) -> None:
    rows = list(zip(names(len(labels)), labels, strict=True))
    first = by_rows(names(len(labels)), names(len(labels)), labels, 0.3, 0.2, seed)
    Random(shuffle).shuffle(rows)  # noqa: S311 (an order, no secret)
    ids = [identity for identity, _ in rows]
    again = by_rows(ids, ids, [label for _, label in rows], 0.3, 0.2, seed)
    assert dict(zip(ids, again.parts, strict=True)) == dict(zip(names(len(labels)), first.parts, strict=True))


def test_another_seed_is_another_cut() -> None:
    cuts = [by_rows(names(60), names(60), [row % 2 for row in range(60)], 0.2, 0.1, seed).parts for seed in (0, 1)]
    assert cuts[0] != cuts[1]


@pytest.mark.parametrize(("labels", "part"), [([1, 2, 3, None], "test"), ([1, 1, 2], "dev")])
def test_too_few_rows_of_a_label_are_refused(labels: list[int | None], part: str) -> None:
    with pytest.raises(InputError, match=f"to draw a {part} part"):
        by_rows(names(len(labels)), names(len(labels)), labels, 0.5, 0.5, 0)


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
