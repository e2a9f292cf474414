"""The loop that drives an encoder: nothing lost or mixed up, batches and memory bounded, failures kept apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from stages.encoders.batching import Encoded, Failed, encode_stream
from stages.encoders.decoding import UndecodableImage
from stages.encoders.protocol import Engine, Vectors
from stages.encoders.timing import Seconds
from stages.errors import ItemError


class Alive:
    """Counts the prepared items that are in memory at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def change(self, by: int) -> None:
        with self._lock:
            self.now += by
            self.most = max(self.most, self.now)


class Prepared:
    def __init__(self, alive: Alive, number: int, length: int) -> None:
        self.number, self.length = number, length
        self._alive = alive
        alive.change(1)

    def __del__(self) -> None:
        self._alive.change(-1)


class Lengths:
    """An encoder of "number:length" whose vector is (number, length); it remembers its batches."""

    engine: Engine = "numpy"
    dim = 2

    def __init__(self, budget: int = 10, window: int = 8) -> None:
        self.budget, self.window = budget, window
        self.batches: list[list[int]] = []
        self.alive = Alive()
        self.calls = 0

    def identity(self) -> Mapping[str, Any]:
        return {}

    def load(self, device: str) -> None:
        pass

    def prepare(self, raw: str) -> Prepared:
        self.calls += 1
        number, length = raw.split(":")
        return Prepared(self.alive, int(number), int(length))

    def cost(self, prepared: Prepared) -> int:
        return prepared.length

    def encode(self, batch: Sequence[Prepared]) -> Vectors:
        self.batches.append([each.length for each in batch])
        return np.array([[each.number, each.length] for each in batch], dtype=np.float32)


def stream(encoder: Lengths, load: Callable[[int], str], count: int, workers: int = 2) -> list[Encoded | Failed]:
    return list(encode_stream(encoder, load, count, workers, Seconds()))


def lengths(count: int) -> list[int]:
    return np.random.default_rng(0).integers(0, 9, count).tolist()


def gathered(results: list[Encoded | Failed]) -> dict[int, list[float]]:
    found = {}
    for each in results:
        if isinstance(each, Encoded):
            assert len(each.items) == len(each.vectors)
            found |= dict(zip(each.items.tolist(), each.vectors.tolist(), strict=True))
    return found


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 100])
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_each_item_gets_its_own_vector(count, workers):
    costs = lengths(count)
    encoder = Lengths()
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


def test_never_more_than_two_windows_of_prepared_items_are_alive():
    encoder = Lengths(budget=4, window=8)
    seen = 0
    for result in encode_stream(encoder, lambda item: f"{item}:1", 200, 4, Seconds()):
        time.sleep(0.001)  # the threads have all the time to run ahead
        seen += len(result.items) if isinstance(result, Encoded) else 1
    assert seen == 200
    assert 8 < encoder.alive.most <= 16


def test_items_no_longer_wanted_are_neither_prepared_nor_encoded():
    encoder = Lengths(budget=4, window=8)
    unwanted, loaded, encoded = {0, 1, 2, 3, 4}, [], []

    def load(item: int) -> str:
        loaded.append(item)
        return f"{item}:1"

    for result in encode_stream(encoder, load, 40, 1, Seconds(), skip=lambda item: item in unwanted):
        assert isinstance(result, Encoded)
        encoded += result.items.tolist()
        unwanted.update(range(10, 30))  # when two windows were prepared: items 5 to 20
    assert sorted(loaded) == [*range(5, 21), *range(30, 40)]
    assert sorted(encoded) == [*range(5, 13), *range(30, 40)]  # the first batch held 9 to 12
    assert all(encoder.batches)


def test_the_next_window_is_prepared_while_the_model_works():
    encoder = Lengths(budget=8, window=8)
    results = encode_stream(encoder, lambda item: f"{item}:1", 32, 2, Seconds())
    next(results)
    deadline = time.monotonic() + 10
    while encoder.calls < 16 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert encoder.calls == 16
    results.close()


def test_closing_early_drops_what_has_not_begun():
    encoder = Lengths(budget=100, window=100)
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
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_the_seconds_of_the_parts_are_added_up():
    encoder = Lengths()
    seconds = Seconds()

    def load(item: int) -> str:
        time.sleep(0.01)
        return f"{item}:1"

    assert len(gathered(list(encode_stream(encoder, load, 10, 1, seconds)))) == 10
    assert seconds.prepare > 0.05
    assert seconds.infer > 0
    assert seconds.load == seconds.write == 0
