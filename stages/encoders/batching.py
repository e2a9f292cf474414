"""Drive one encoder over many items: read and prepare ahead in threads, group by cost, keep every failure apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.encoders.decoding import UndecodableImage
from stages.encoders.protocol import Encoder, Vectors
from stages.encoders.timing import Seconds
from stages.errors import ItemError

# What one bad item may raise; anything else is a fault of the code and stops the run.
ITEM_ERRORS = (UndecodableImage, ItemError, OSError)

_Preparing = deque[tuple[int, Future[Any]]]
_Prepared = list[tuple[int, Any]]


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
    encoder: Encoder,
    load: Callable[[int], str | bytes],
    count: int,
    workers: int,
    seconds: Seconds,
    skip: Callable[[int], bool] = lambda item: False,  # noqa: ARG005
) -> Generator[Encoded | Failed, None, None]:
    """Encode items 0..count-1; `load(i)` gives the raw item and may raise one of `ITEM_ERRORS`.

    `skip(i)` is asked before an item is prepared and again before it goes to the model, so that an item which is no
    longer wanted while the stream runs costs nothing more.

    Memory is bounded by two windows of prepared items, whatever `count` is: one that the model works on, one ahead.
    Close the generator to stop early: preparations that have not begun are then dropped.
    """
    pool = ThreadPoolExecutor(max_workers=max(1, workers))
    try:
        wanted = (item for item in range(count) if not skip(item))
        for window in _windows(pool, lambda item: encoder.prepare(load(item)), wanted, encoder.window):
            prepared: _Prepared = []
            yield from _collect(window, prepared, seconds)
            yield from _encode(encoder, prepared, seconds, skip)
    finally:
        pool.shutdown(cancel_futures=True)


def _windows(
    pool: ThreadPoolExecutor, prepare: Callable[[int], Any], wanted: Iterator[int], size: int
) -> Iterator[_Preparing]:
    """Yield windows of running preparations, always one window ahead of the model."""
    ahead: deque[_Preparing] = deque()
    while items := list(islice(wanted, size)):
        ahead.append(deque((item, pool.submit(prepare, item)) for item in items))
        if len(ahead) == 2:
            yield ahead.popleft()
    if ahead:
        yield ahead.popleft()


def _collect(window: _Preparing, prepared: _Prepared, seconds: Seconds) -> Iterator[Failed]:
    """Move what was prepared from `window` into `prepared`; yield what failed."""
    while window:
        item, future = window.popleft()
        try:
            with seconds.of("prepare"):
                prepared.append((item, future.result()))
        except ITEM_ERRORS as error:
            yield Failed(item, f"{type(error).__name__}: {error}")


def _encode(encoder: Encoder, prepared: _Prepared, seconds: Seconds, skip: Callable[[int], bool]) -> Iterator[Encoded]:
    """Encode and use up a window's items, those of like cost together, so that little of a batch is padding."""
    prepared.sort(key=lambda pair: encoder.cost(pair[1]))
    while prepared:
        # Every item of a batch is padded to its costliest, the last one here.
        fitting = max(1, encoder.budget // max(1, encoder.cost(prepared[-1][1])))
        batch = [pair for pair in prepared[-fitting:] if not skip(pair[0])]
        del prepared[-fitting:]
        if batch:
            with seconds.of("infer"):
                vectors = encoder.encode([each for _, each in batch])
            yield Encoded(np.array([item for item, _ in batch], dtype=np.int64), vectors)
