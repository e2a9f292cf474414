"""The loop that drives an encoder: nothing lost or mixed up, batches and memory bounded, failures kept apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stages.models.encoders.image.decoding import UndecodableImage
from stages.models.encoders.running.batching import Encoded, Failed, Seconds, encode_stream
from store.errors import ItemError, RunError
from tests.stages.models.encoders.running.lengths import Lengths, Prepared, gathered, lengths, stream


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 100])
@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_each_item_gets_its_own_vector(count, workers, chunk):
    costs = lengths(count)
    encoder = Lengths(chunk=chunk)
    found = gathered(stream(encoder, lambda item: f"{item}:{costs[item]}", count, workers))
    assert found == {item: [item, costs[item]] for item in range(count)}
    assert encoder.calls == count


def test_no_batch_exceeds_the_budget_unless_one_item_does():
    costs = [*lengths(200), 50, 3, 11]
    encoder = Lengths(budget=20, window=32)
    stream(encoder, lambda item: f"{item}:{costs[item]}", len(costs))
    assert all(len(batch) * max(batch) <= 20 or len(batch) == 1 for batch in encoder.batches)
    assert [50] in encoder.batches
    assert sum(map(len, encoder.batches)) == len(costs)


def test_items_of_like_cost_share_a_batch():
    costs = [1, 10] * 16
    encoder = Lengths(budget=40, window=32)
    stream(encoder, lambda item: f"{item}:{costs[item]}", 32)
    assert encoder.batches == [[10] * 4] * 4 + [[1] * 16]


@pytest.mark.parametrize(
    "error",
    [
        UndecodableImage("damaged"),
        ItemError("changed"),
        FileNotFoundError(2, "none"),
        PermissionError("no"),
        OSError(5, "io"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_failure_is_kept_apart_with_its_reason(error):
    def load(item: int) -> str:
        if item % 3 == 0:
            raise error
        return f"{item}:1"

    results = stream(Lengths(), load, 20)
    failed = {each.item: each.reason for each in results if isinstance(each, Failed)}
    assert failed == {item: f"{type(error).__name__}: {error}" for item in range(0, 20, 3)}
    assert sorted(gathered(results)) == [item for item in range(20) if item % 3]


def test_a_run_of_failures_only_ends():
    def load(item: int) -> str:
        raise ItemError(f"bad {item}")

    encoder = Lengths()
    assert [each.item for each in stream(encoder, load, 30)] == list(range(30))
    assert encoder.batches == []


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("x"), ValueError("x"), TypeError("x"), MemoryError()])
@pytest.mark.parametrize("where", ["load", "prepare", "encode"])
def test_a_fault_of_the_code_stops_the_run(error, where):
    encoder = Lengths()

    def fail(*_: object) -> Any:
        raise error

    if where != "load":
        setattr(encoder, where, fail)
    with pytest.raises(type(error)):
        stream(encoder, fail if where == "load" else lambda item: f"{item}:1", 100)


def test_one_bad_item_of_a_chunk_fails_alone():
    encoder = Lengths(chunk=5)
    prepare = encoder.prepare

    def picky(raws: Sequence[str]) -> list[Prepared]:
        if any(raw.startswith("7:") for raw in raws):
            raise UndecodableImage("damaged")
        return prepare(raws)

    encoder.prepare = picky
    results = stream(encoder, lambda item: f"{item}:1", 20)
    assert [each for each in results if isinstance(each, Failed)] == [Failed(7, "UndecodableImage: damaged")]
    assert sorted(gathered(results)) == [item for item in range(20) if item != 7]


def test_an_unreadable_item_of_a_chunk_fails_alone():
    def load(item: int) -> str:
        if item == 3:
            raise OSError(5, "io")
        return f"{item}:1"

    results = stream(Lengths(chunk=4), load, 8)
    assert [each.item for each in results if isinstance(each, Failed)] == [3]
    assert gathered(results) == {item: [item, 1] for item in range(8) if item != 3}


def test_a_batch_without_room_is_halved_and_later_ones_keep_to_that_size():
    costs = lengths(100)
    encoder = Lengths(budget=40, window=32, room=12)
    found = gathered(stream(encoder, lambda item: f"{item}:{costs[item]}", 100))
    assert found == {item: [item, costs[item]] for item in range(100)}
    assert encoder.budget <= 12
    shrunk = encoder.budget
    assert sorted(gathered(stream(encoder, lambda item: f"{item}:1", 50))) == list(range(50))
    assert encoder.budget == shrunk
    assert max(map(len, encoder.batches[-3:])) <= shrunk


def test_an_item_without_room_ends_the_run_with_a_remedy():
    results = encode_stream(Lengths(room=5), lambda item: f"{item}:{9 if item == 3 else 1}", 8, 1, Seconds())
    with pytest.raises(RunError, match=r"a batch of one item; found none \(no room\).*DIPTYCH_DEVICE=cpu"):
        list(results)


def test_the_model_works_in_a_thread_of_its_own_while_results_are_taken():
    encoder = Lengths(budget=2, window=32)
    results = encode_stream(encoder, lambda item: f"{item}:1", 32, 2, Seconds())
    next(results)
    deadline = time.monotonic() + 10
    while len(encoder.batches) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(encoder.batches) == 3  # the one taken, and two that were handed to the model
    results.close()


def test_never_more_than_two_windows_and_the_batches_in_flight_are_alive():
    encoder = Lengths(budget=2, window=16)
    seen = 0
    for result in encode_stream(encoder, lambda item: f"{item}:1", 200, 4, Seconds()):
        time.sleep(0.001)  # the threads have all the time to run ahead
        seen += len(result.items) if isinstance(result, Encoded) else 1
    assert seen == 200
    assert 16 < encoder.alive.most <= 2 * 16 + 3 * 2


def test_items_no_longer_wanted_are_neither_prepared_nor_encoded():
    encoder = Lengths(budget=4, window=8)
    unwanted, loaded, encoded = {0, 1, 2, 3, 4}, [], []

    def load(item: int) -> str:
        loaded.append(item)
        return f"{item}:1"

    for result in encode_stream(encoder, load, 40, 1, Seconds(), skip=lambda item: item in unwanted):
        assert isinstance(result, Encoded)
        encoded += result.items.tolist()
        # The first batch held 9 to 12. By then the model has two more, the second of them from the second window, and
        # the third window is about to be prepared.
        unwanted.update(range(10, 30))
    assert [*range(5, 21), *range(30, 40)] == [item for item in sorted(loaded) if not 21 <= item < 29]
    assert sorted(encoded) == [*range(5, 13), *range(17, 21), *range(30, 40)]
    assert all(encoder.batches)


def test_when_nothing_is_wanted_any_more_only_what_the_model_has_comes_back():
    encoder = Lengths(budget=2, window=8)
    encoded, done = [], threading.Event()

    def load(item: int) -> str:
        if item >= 8:
            done.wait(10)
        return f"{item}:1"

    for result in encode_stream(encoder, load, 1000, 1, Seconds(), skip=lambda _: done.is_set()):
        encoded += result.items.tolist()
        done.set()
    assert sorted(encoded) == [2, 3, 4, 5, 6, 7]
    assert encoder.calls <= 9


def test_the_next_window_is_prepared_while_the_model_works():
    encoder = Lengths(budget=2, window=16)
    results = encode_stream(encoder, lambda item: f"{item}:1", 64, 2, Seconds())
    next(results)
    deadline = time.monotonic() + 10
    while encoder.calls < 32 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert encoder.calls == 32
    results.close()


def test_closing_early_drops_what_has_not_begun():
    encoder = Lengths(budget=10, window=100)
    begun = 0
    released = threading.Event()

    def load(item: int) -> str:
        nonlocal begun
        begun += 1
        if item >= 100:
            released.wait(0.05)
        return f"{item}:1"

    results = encode_stream(encoder, load, 1000, 1, Seconds())
    next(results)
    results.close()
    assert begun <= 105
    assert not [each for each in threading.enumerate() if each.name.startswith(("prepare", "infer"))]


def test_the_seconds_of_each_phase_are_added_up():
    encoder = Lengths()
    encode, prepare, seconds = encoder.encode, encoder.prepare, Seconds()

    def slowly(seconds: float, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def act(argument: Any) -> Any:
            time.sleep(seconds)
            return call(argument)

        return act

    encoder.prepare, encoder.encode = slowly(0.02, prepare), slowly(0.01, encode)
    load = slowly(0.01, lambda item: f"{item}:1")
    assert len(gathered(list(encode_stream(encoder, load, 20, 4, seconds)))) == 20
    assert seconds.read >= 0.2  # summed over the threads
    assert seconds.decode >= 0.4
    assert 0.02 <= seconds.infer <= seconds.wall
    assert seconds.wall < seconds.read + seconds.decode
    assert seconds.load == seconds.write == 0
    assert seconds.workers == 4


@pytest.mark.parametrize(
    ("spent", "slowest"),
    [
        ({"read": 3.9, "infer": 2.0}, "infer"),
        ({"read": 4.1, "infer": 2.0}, "read"),
        ({"decode": 5.0, "write": 2.4}, "decode"),
        ({"load": 99.0, "write": 0.1}, "write"),
    ],
)
def test_the_bottleneck_is_the_longest_phase_where_threads_share_theirs(spent, slowest):
    seconds = Seconds(workers=2, **spent)
    assert seconds.bottleneck == slowest
    assert seconds.by_phase() == {"load": 0, "read": 0, "decode": 0, "infer": 0, "write": 0, **spent}


def test_a_phase_that_ends_in_an_error_is_counted_too():
    seconds = Seconds()

    def fail() -> None:
        with seconds.of("write"):
            time.sleep(0.01)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seconds.write >= 0.01
