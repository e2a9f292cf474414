"""Does the same work on a stream of inputs in a few threads, in order and in bounded memory; for sources and checks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


_WORKERS = max(1, min(4, os.cpu_count() or 1))
_WAITING = 4 * _WORKERS


def map_in_order(work: Callable[[In], Out], inputs: Iterable[In]) -> Iterator[Out]:
    """Yield `work(x)` for each input, in the order of the inputs, reading only a few inputs ahead.

    Threads suffice because decoding, scaling and encoding pictures all release Python's lock. An error of `work`
    stops the stream at its place, and what was waiting is dropped.
    """
    pending: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="prepare")
    try:
        for value in inputs:
            pending.append(pool.submit(work, value))
            if len(pending) >= _WAITING:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
