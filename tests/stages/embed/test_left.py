"""What is left of a request is taken in its order, from any place, and never twice."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from stages.embed.left import Left


@pytest.fixture(params=[1, 7, 1 << 20])
def wanted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr("stages.embed.left._SCANNED", request.param)
    chosen = np.random.default_rng(3).random(200) > 0.4
    chosen[-30:] = False
    return chosen


def test_all_comes_once_and_in_order(wanted: np.ndarray) -> None:
    expected = np.flatnonzero(wanted).tolist()
    rest, taken = Left(wanted), []
    while len(portion := rest.next(9)):
        taken.append(portion.tolist())
        wanted[portion] = False
    assert [row for portion in taken for row in portion] == expected
    assert {len(each) for each in taken[:-1]} == {9}


def test_what_was_not_done_comes_again_and_what_is_found_elsewhere_does_not(wanted: np.ndarray) -> None:
    rest = Left(wanted)
    first = rest.next(9)
    wanted[first[3:]] = False
    wanted[150:] = False
    np.testing.assert_array_equal(rest.next(500), np.flatnonzero(wanted))


def test_from_a_place_drawn_by_lot_all_can_be_had(wanted: np.ndarray) -> None:
    expected = np.flatnonzero(wanted).tolist()
    rest, begins = Left(wanted), set()
    for _ in range(30):
        portion = rest.anywhere(1000).tolist()
        begins.add(portion[0])
        at = expected.index(portion[0])
        assert portion == expected[at:] + expected[:at]
        assert rest.anywhere(5).tolist() != []
    assert len(begins) > 5


def test_after_a_lot_the_next_portions_go_on_from_there(wanted: np.ndarray) -> None:
    expected = np.flatnonzero(wanted).tolist()
    rest, taken = Left(wanted), []
    wanted[expected[0]] = False  # done before
    portion = rest.anywhere(9)
    while len(portion):
        taken += portion.tolist()
        wanted[portion] = False
        portion = rest.next(9)
    at = expected.index(taken[0])
    assert taken == expected[at:] + expected[1:at]


def test_the_lot_is_drawn_among_what_is_wanted(wanted: np.ndarray) -> None:
    wanted[:] = False
    wanted[[20, 21, 40, 41, 70, 199]] = True
    rest = Left(wanted)
    rest.next(1)
    begins = np.array([rest.anywhere(1)[0] for _ in range(600)])
    for place in np.flatnonzero(wanted):
        assert (
            50 < np.count_nonzero(begins == place) < 170
        )  # of all positions, 70 would be drawn 100 times as often as 21


def test_a_portion_costs_no_memory_for_each_row_that_is_left() -> None:
    rest = Left(np.ones(20_000_000, dtype=bool))
    tracemalloc.start()
    try:
        assert len(rest.next(1000)) == len(rest.anywhere(1000)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000  # eight bytes for each: 160 MB
    finally:
        tracemalloc.stop()
