"""first_n: the order of the rows decides, and whole groups follow their first row."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import InputError
from stages.split.first_rows import by_order


def test_the_first_rows_train_and_the_last_test() -> None:
    cut = by_order([str(row) for row in range(5000)], 4000, 0.1, 0)
    assert Counter(cut.parts[:4000]) == {"train": 3600, "dev": 400}
    assert set(cut.parts[4000:]) == {"test"}
    assert cut.counts == {"moved_to_train": {"rows": 0, "groups": 0}}


def test_later_editions_follow_the_first() -> None:
    cut = by_order(["a", "b", "a", "c", "a", "b"], 2, 0.5, 0)
    assert [part == "test" for part in cut.parts] == [False, False, False, True, False, False]
    assert cut.parts[0] == cut.parts[2] == cut.parts[4]
    assert cut.counts == {"moved_to_train": {"rows": 3, "groups": 2}}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 30).map(str), min_size=10, max_size=100), st.integers(0, 3))
def test_groups_never_straddle(numbers: list[str], seed: int) -> None:
    groups = ["a", "b", *numbers, "z"]
    parts = by_order(groups, 6, 0.3, seed).parts
    assert len(set(zip(groups, parts, strict=True))) == len(set(groups))
    assert set(parts) == {"train", "dev", "test"}
    assert "test" not in parts[:6]


def test_the_seed_moves_only_the_dev_rows() -> None:
    groups = [str(row) for row in range(100)]
    first, second = (by_order(groups, 80, 0.2, seed).parts for seed in (0, 1))
    assert first != second
    assert first[80:] == second[80:]


@pytest.mark.parametrize(("groups", "first"), [(["a", "b", "c"], 3), (["a", "b", "a"], 2), ([], 4000)])
def test_some_rows_must_be_left_for_test(groups: list[str], first: int) -> None:
    with pytest.raises(InputError, match=r"lower split\.first"):
        by_order(groups, first, 0.5, 0)
