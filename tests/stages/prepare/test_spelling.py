"""Ids, numbers and texts of other people's JSON, whichever way they are spelled."""

from typing import Any

import pytest

from stages.prepare.sources.spelling import id_order, identity, is_writable, number, text


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (7, "7"),
        (-7, "-7"),
        (7.0, "7"),
        ("7", "7"),
        ("007", "007"),
        (" 7 ", " 7 "),
        (10**30, "1" + "0" * 30),
        *((other, None) for other in (None, "", "  ", True, False, 7.5, float("nan"), float("inf"), [7], {"id": 7})),
    ],
)
def test_ids_keep_every_character(value: Any, spelled: str | None) -> None:
    assert identity(value) == spelled


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, 3.0),
        ("3.5", 3.5),
        (" 1e2 ", 100.0),
        *((other, None) for other in (None, "", "wide", True, "nan", float("inf"), 10**400, [3])),
    ],
)
def test_numbers_are_finite(value: Any, found: float | None) -> None:
    assert number(value) == found


def test_texts_are_exact_or_missing() -> None:
    assert text(" a ") == " a "
    assert text(None) is text(" \n") is None
    for other in (5, True, ["a"]):
        with pytest.raises(TypeError, match="expected text, found"):
            text(other)
    assert is_writable("ü", None, "\U0001f600")
    assert not is_writable("ü", "\ud800")


def test_ids_are_sorted_by_value_before_words() -> None:
    assert sorted(["b", "10", "9", "a", "-1", "٣", "9" * 20], key=id_order) == [
        "-1",
        "9",
        "10",
        "9" * 20,
        "a",
        "b",
        "٣",
    ]
