"""Drive one encoder over many items: read and prepare ahead in threads, group by cost, keep every failure apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.encoders.decoding import UndecodableImage
from stages.encoders.protocol import Encoder, Vectors
from stages.encoders.timing import Seconds
from stages.errors import ItemError

# What one bad item may raise; anything else is a fault of the code and stops the run.
ITEM_ERRORS = (UndecodableImage, ItemError, OSError, UnicodeError)


@dataclass(frozen=True)
class Encoded:
    """Some items' vectors [n, D]; `items` [n] are positions in the request, in any order."""

    items: NDArray[np.int64]
    vectors: Vectors


@dataclass(frozen=True)
class Failed:
    """One item that could not be read or prepared, and why."""

    item: int
    reason: str


def encode_stream(
    encoder: Encoder, load: Callable[[int], str | bytes], count: int, workers: int, seconds: Seconds
) -> Iterator[Encoded | Failed]:
    """Encode items 0..count-1; `load(i)` gives the raw item and may raise one of `ITEM_ERRORS`.

    Memory is bounded by two windows of prepared items, whatever `count` is.
    """
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for prepared in _windows(pool, lambda item: encoder.prepare(load(item)), count, encoder.window):
            good: list[tuple[int, Any]] = []
            for item, future in prepared:
                try:
                    with seconds.of("prepare"):
                        good.append((item, future.result()))
                except ITEM_ERRORS as error:
                    yield Failed(item, f"{type(error).__name__}: {error}")
            yield from _encode_window(encoder, good, seconds)


def _windows(
    pool: ThreadPoolExecutor, prepare: Callable[[int], Any], count: int, size: int
) -> Iterator[list[tuple[int, Future[Any]]]]:
    """Yield windows of running preparations, always one window ahead of the model."""
    ahead: deque[list[tuple[int, Future[Any]]]] = deque()
    try:
        for start in range(0, count, size):
            items = range(start, min(start + size, count))
            ahead.append([(item, pool.submit(prepare, item)) for item in items])
            if len(ahead) == 2:
                yield ahead.popleft()
        yield from ahead
    finally:
        for _, future in (pair for group in ahead for pair in group):
            future.cancel()


def _encode_window(encoder: Encoder, window: Sequence[tuple[int, Any]], seconds: Seconds) -> Iterator[Encoded]:
    """Encode a window's items, the long ones together, so that little of a batch is padding."""
    ordered = sorted(window, key=lambda pair: encoder.cost(pair[1]), reverse=True)
    start = 0
    while start < len(ordered):
        # Every item of a batch is padded to its first, the costliest.
        fitting = max(1, encoder.budget // max(1, encoder.cost(ordered[start][1])))
        batch = ordered[start : start + fitting]
        start += fitting
        with seconds.of("infer"):
            vectors = encoder.encode([prepared for _, prepared in batch])
        yield Encoded(np.array([item for item, _ in batch], dtype=np.int64), vectors)
