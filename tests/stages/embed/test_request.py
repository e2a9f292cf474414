"""What is wanted, each content once, and what is left of it, in its order and never twice."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from stages.embed.request import Left, make_request
from stages.models.encoders.catalog.row import Kind
from stages.models.encoders.inputs import Inputs
from store import text_key
from store.errors import InputError
from store.items.manifest import Manifest
from tests.stages.embed.album import Album

CAPTIONS = ["b", None, "a", "b", None, "c", "a"]


def inputs(album: Album, field: str = "caption", kind: Kind = "text") -> Inputs:
    return Inputs.of(Manifest.open(album.manifest), kind, field)


def keys_of(*texts: str) -> list[bytes]:
    return [text_key(each) for each in texts]


def test_distinct_contents_in_the_order_of_their_first_rows(album):
    album.write(CAPTIONS)
    request = make_request(inputs(album), with_empty=False)
    assert [key.tobytes() for key in request.keys] == keys_of("b", "a", "c")
    assert request.first.tolist() == [0, 2, 5]
    assert request.inverse.tolist() == [0, -1, 1, 0, -1, 2, 1]
    assert request.empty == -1


def test_the_empty_text_comes_last_and_belongs_to_no_row(album):
    album.write(CAPTIONS)
    request = make_request(inputs(album), with_empty=True)
    assert [key.tobytes() for key in request.keys] == keys_of("b", "a", "c", "")
    assert request.first.tolist() == [0, 2, 5, -1]
    assert request.inverse.tolist() == [0, -1, 1, 0, -1, 2, 1]
    assert request.empty == 3


def test_an_empty_text_that_a_row_has_is_not_asked_for_twice(album):
    album.write(["a", "", "b"])
    request = make_request(inputs(album), with_empty=True)
    assert [key.tobytes() for key in request.keys] == keys_of("a", "", "b")
    assert (request.empty, request.first.tolist(), request.inverse.tolist()) == (1, [0, 1, 2], [0, 1, 2])


@pytest.mark.parametrize("captions", [[], [None, None]])
@pytest.mark.parametrize("with_empty", [True, False])
def test_nothing_to_encode(album, captions, with_empty):
    album.write(captions)
    request = make_request(inputs(album), with_empty=with_empty)
    assert request.keys.shape == (int(with_empty), 32)
    assert request.inverse.tolist() == [-1] * len(captions)


def test_an_unknown_field_is_refused_with_those_that_exist(album):
    album.write(CAPTIONS)
    with pytest.raises(InputError, match="found 'title'; those that exist: image, caption"):
        make_request(inputs(album, "title"), with_empty=False)


def test_a_pair_is_one_content_and_needs_both(album):
    album.write_pairs(["a", "a", None, "a", "b", "b"], [1, 2, 1, 1, None, 1])
    request = make_request(inputs(album, kind="pair"), with_empty=False)
    assert request.inverse.tolist() == [0, 1, -1, 0, -1, 2]
    assert request.first.tolist() == [0, 1, 5]


@pytest.fixture(params=[1, 7, 1 << 20])
def wanted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.setattr("stages.embed.request._SCANNED", request.param)
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
