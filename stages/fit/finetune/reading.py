"""Prepare training items ahead in threads, batch by batch in a given order; what cannot be read is left out, told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from stages.encoders.batching import ITEM_ERRORS

_AHEAD = 3
_Running = list[tuple[int, Future[Any]]]


class Batch(NamedTuple):
    """Some items that could be read; `number` counts the batches of the order, also those that are left out."""

    number: int
    items: list[int]
    prepared: list[Any]


class Reader:
    """Reads batches and remembers which items could not be read.

    Parameters
    ----------
    workers : int
        Threads.

    Attributes
    ----------
    failed : dict
        Item to reason, in every batch read so far.
    """

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)
        self.failed: dict[int, str] = {}

    def batches(self, order: Sequence[int], size: int, prepare: Callable[[int], Any]) -> Generator[Batch, None, None]:
        """Yield batches of consecutive runs of `size` in `order`, without the items that failed.

        A run in which every item failed is left out. Close the generator to stop early.
        """
        pool = ThreadPoolExecutor(self._workers)
        runs = enumerate(order[start : start + size] for start in range(0, len(order), size))
        ahead: deque[tuple[int, _Running]] = deque()
        try:
            while True:
                for number, run in islice(runs, _AHEAD - len(ahead)):
                    ahead.append((number, [(item, pool.submit(prepare, item)) for item in run]))
                if not ahead:
                    return
                number, running = ahead.popleft()
                items, prepared = self._collect(running)
                if items:
                    yield Batch(number, items, prepared)
        finally:
            pool.shutdown(cancel_futures=True)

    def _collect(self, running: _Running) -> tuple[list[int], list[Any]]:
        items, prepared = [], []
        for item, future in running:
            try:
                prepared.append(future.result())
                items.append(item)
            except ITEM_ERRORS as error:
                self.failed[item] = f"{type(error).__name__}: {error}"
        return items, prepared
