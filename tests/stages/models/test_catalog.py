"""A mistyped word gets its nearest neighbour, a strange one gets none."""

from __future__ import annotations

import pytest

from stages.models.catalog import did_you_mean


@pytest.mark.parametrize(
    ("word", "expected"),
    [("atention", " (did you mean 'attention'?)"), ("lat", " (did you mean 'late'?)"), ("zebra", ""), ("", "")],
)
def test_the_nearest_known_word_is_offered(word: str, expected: str) -> None:
    assert did_you_mean(word, iter(["none", "concat", "attention", "late"])) == expected


def test_nothing_known_nothing_offered() -> None:
    assert did_you_mean("word", []) == ""
