"""docs/systems/evaluation.md#per_class: its numbers, whole groups, the first class deciding for a group of several."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import InputError
from stages.split.class_shares import by_class, half_share

ROWS = st.lists(st.tuples(st.integers(0, 60), st.integers(-1, 3)), max_size=150).map(
    lambda rows: [*rows, *((100 + n, 1) for n in range(20))]
)


@pytest.mark.parametrize(("rows", "half"), [(49, 0), (50, 1), (100, 2), (101, 2), (3000, 60), (0, 0)])
def test_the_numbers_of_the_published_rule(rows: int, half: int) -> None:
    assert half_share(rows, 0.04) == half


def test_shares_are_taken_as_they_are_written() -> None:
    assert half_share(100, 0.58) == 29  # 0.58 * 100 is 57.99999999999999
    assert half_share(10, 1e-05) == 0


def test_classes_that_are_too_small_train_and_are_named() -> None:
    labels = [0] * 49 + [1] * 50 + [2] * 3000
    groups = [str(row) for row in range(len(labels))]
    cut = by_class(groups, labels, ("a", "b", "c", "d"), 0.04, 0)
    counts = Counter(zip(labels, cut.parts, strict=True))
    assert counts == {(0, "train"): 49, (1, "train"): 48, (1, "dev"): 1, (1, "test"): 1,
                      (2, "train"): 2880, (2, "dev"): 60, (2, "test"): 60}  # fmt: skip
    assert cut.counts == {"train_only": {"count": 2, "classes": ["a", "d"]}}


def test_the_first_class_decides_for_a_picture_of_several() -> None:
    # 50 pictures stand in both classes; as they belong to the first, the second has 49 of its own: too few.
    groups = [*map(str, range(50)), *map(str, range(99))]
    labels = [*([0] * 50), *([1] * 99)]
    cut = by_class(groups, labels, ("a", "b"), 0.04, 0)
    assert cut.counts["train_only"] == {"count": 1, "classes": ["b"]}
    assert all(cut.parts[row] == cut.parts[50 + row] for row in range(50))
    assert Counter(cut.parts[50:]) == {"train": 97, "dev": 1, "test": 1}


@settings(deadline=None, max_examples=50)
@given(ROWS, st.integers(0, 3))
def test_groups_never_straddle_and_dev_equals_test(rows: list[tuple[int, int]], seed: int) -> None:
    groups = [str(group) for group, _ in rows]
    parts = by_class(groups, [label for _, label in rows], "abcd", 0.5, seed).parts
    distinct = set(zip(groups, parts, strict=True))
    assert len(distinct) == len(set(groups))
    counts = Counter(part for _, part in distinct)
    assert counts["dev"] == counts["test"] > 0


@settings(deadline=None, max_examples=50)
@given(ROWS, st.integers(0, 3), st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple[int, int]], seed: int, shuffle: int) -> None:
    def part_of(given: list[tuple[int, int]]) -> dict[int, str]:
        parts = by_class([str(group) for group, _ in given], [label for _, label in given], "abcd", 0.5, seed).parts
        return dict(zip([group for group, _ in given], parts, strict=True))

    shuffled = list(rows)
    Random(shuffle).shuffle(shuffled)  # noqa: S311 (an order, no secret)
    assert part_of(rows) == part_of(shuffled)


def test_another_seed_is_another_cut() -> None:
    groups = [str(row) for row in range(100)]
    assert by_class(groups, [0] * 100, "a", 0.4, 0).parts != by_class(groups, [0] * 100, "a", 0.4, 1).parts


@pytest.mark.parametrize("labels", [[0] * 49, [-1] * 60, []])
def test_without_a_class_that_is_large_enough_nothing_is_cut(labels: list[int]) -> None:
    with pytest.raises(InputError, match=r"raise split\.share"):
        by_class([str(row) for row in range(len(labels))], labels, ("a",), 0.04, 0)
