"""An encoder of "number:length" that remembers its batches: what the loop is tried on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stages.models.encoders.protocol import OutOfMemory, Placement, Rows, Runtime, Simple
from stages.models.encoders.running.batching import Encoded, Failed, Seconds, encode_stream


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


class Lengths(Simple):
    """An encoder of "number:length" whose vector is (number, length); it remembers its batches.

    On a device that holds a cost of `room` at once.
    """

    dim = 2

    def __init__(self, budget: int = 10, window: int = 8, room: int = 1000, chunk: int = 1) -> None:
        self.budget, self.window, self.room, self.chunk = budget, window, room, chunk
        self.batches: list[list[int]] = []
        self.alive = Alive()
        self.calls = 0

    def identity(self) -> Mapping[str, Any]:
        return {}

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002
        return Runtime("numpy")

    def prepare(self, raws: Sequence[str]) -> list[Prepared]:
        self.calls += len(raws)
        pairs = [map(int, raw.split(":")) for raw in raws]
        return [Prepared(self.alive, *pair) for pair in pairs]

    def cost(self, prepared: Prepared) -> int:
        return prepared.length

    def encode(self, batch: Sequence[Prepared]) -> Rows:
        if len(batch) * max(each.length for each in batch) > self.room:
            raise OutOfMemory("no room")
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
