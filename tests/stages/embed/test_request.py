"""What is wanted, each content once, and what is left of it, in its order and never twice."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from stages.embed.compute import Left
from stages.embed.params import EmbedParams, encoder_and_fingerprint
from stages.embed.request import Ledger, make_request
from stages.models.encoders.catalog.row import Kind
from stages.models.encoders.inputs import Inputs
from store import EncoderLog, FeatureStore, key_array, text_key
from store.errors import InputError
from store.items.manifest import Manifest
from tests.stages.embed.album import Album
from tests.stages.embed.counting import vector_of

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
    monkeypatch.setattr("stages.embed.compute._SCANNED", request.param)
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


TEXTS = [f"text {number}" for number in range(12)]


@pytest.fixture
def log(album: Album) -> EncoderLog:
    _, fingerprint = encoder_and_fingerprint(EmbedParams(encoder="counting", field="caption"))
    return FeatureStore(album.store, durability="none").open(fingerprint, 8, "float16")


def publish(log: EncoderLog, places: list[int]) -> str:
    vectors = np.stack([vector_of(TEXTS[each]) for each in places]).astype(np.float16)
    return log.append(key_array([text_key(TEXTS[each]) for each in places]), vectors, {})


def noted(ledger: Ledger) -> tuple[list[int], list[int], list[int], list[int]]:
    """What is found, wanted, computed and failed, once seen that these agree."""
    assert ledger.left == np.count_nonzero(ledger.wanted)
    assert not (ledger.found & ledger.wanted).any()
    assert not ledger.wanted[list(ledger.failures)].any()
    masks = [np.flatnonzero(each).tolist() for each in (ledger.found, ledger.wanted, ledger.computed)]
    return masks[0], masks[1], masks[2], sorted(ledger.failures)


def test_a_ledger_notes_what_became_of_each_content(log: EncoderLog) -> None:
    publish(log, [0, 1])
    ledger = Ledger(log, key_array([text_key(each) for each in TEXTS]), {1: "failed before", 2: "failed before"})
    ledger.look_up()
    assert noted(ledger) == ([0, 1], list(range(3, 12)), [], [2])
    assert ledger.encode(np.array([3, 4, 5])).all()
    assert ledger.fail(4, "refused") == ledger.fail(6, "lost here") == 1
    assert noted(ledger) == ([0, 1], [7, 8, 9, 10, 11], [3, 4, 5, 6], [2, 4, 6])
    ledger.store(np.array([3]), publish(log, [3]))
    assert (ledger.look(), ledger.crowded) == (0, False)  # our own segment is none of theirs
    publish(log, [5, 6, 7, 8])
    assert (ledger.look(), ledger.from_others, ledger.crowded) == (2, 2, True)
    assert ledger.encode(np.array([8, 9])).tolist() == [False, True]
    assert ledger.fail(7, "lost here") == 0
    assert noted(ledger) == ([0, 1, 3, 5, 6, 7, 8], [10, 11], [3, 4, 5, 6, 8, 9], [2, 4, 6])
    ledger.look_up()  # what failed here and was stored elsewhere has not failed, what was not stored is wanted again
    assert noted(ledger) == ([0, 1, 3, 5, 6, 7, 8], [9, 10, 11], [3, 4, 5, 8, 9], [2, 4])
    assert ledger.known == 1


def test_a_ledger_of_units_wants_one_at_a_time_and_keeps_what_is_found(log: EncoderLog) -> None:
    ledger = Ledger(log, key_array([text_key(each) for each in TEXTS]), {})
    ledger.look_up()
    ledger.narrow(np.array([0, 1, 2]))
    ledger.encode(np.array([0, 1, 2]))
    ledger.fail(2, "refused")
    ledger.store(np.array([0, 1]), publish(log, [0, 1]))
    assert noted(ledger) == ([0, 1], [], [0, 1, 2], [2])
    publish(log, [3])
    assert ledger.look() == 0  # of another unit
    ledger.narrow(np.array([1, 2, 3, 4]))
    assert noted(ledger) == ([0, 1, 3], [2, 4], [], [])


def test_a_ledger_takes_what_a_worker_tells_of_a_unit(log: EncoderLog) -> None:
    ledger = Ledger(log, key_array([text_key(each) for each in TEXTS]), {})
    ledger.look_up()
    ledger.enter(np.array([2, 5, 7]), [1], {7: "refused"})
    ledger.enter(np.array([8]), [], {})
    assert noted(ledger) == ([], [0, 1, 3, 4, 6, 9, 10, 11], [2, 7, 8], [7])
