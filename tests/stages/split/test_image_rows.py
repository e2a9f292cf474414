"""P-image: rows cut within each label, singletons in train, the same cut for the same seed and rows in any order."""

from collections import Counter, defaultdict
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import InputError
from stages.split.image_rows import by_rows

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
