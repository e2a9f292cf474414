"""Drive one encoder over many items: prepare ahead in threads, group by cost, keep failures apart, time it all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.image.decoding import UndecodableImage
from stages.models.encoders.protocol import Encoder, OutOfMemory, Raw, Rows
from store.errors import ItemError, RunError

Phase = Literal["load", "read", "decode", "infer", "write"]
PHASES: tuple[Phase, ...] = ("load", "read", "decode", "infer", "write")


@dataclass
class Seconds:
    """Seconds by phase; those of `read` and `decode` (or tokenise) are sums of `workers` threads, of `infer` `streams`.

    Phases overlap: while one batch is inferred, the next is read and decoded and the one before is written.
    """

    workers: int = 1
    streams: int = 1
    load: float = 0.0
    read: float = 0.0
    decode: float = 0.0
    infer: float = 0.0
    write: float = 0.0
    wall: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @contextmanager
    def of(self, phase: Phase | Literal["wall"]) -> Iterator[None]:
        """Add the time spent inside the block to `phase`; from any thread."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                setattr(self, phase, getattr(self, phase) + spent)

    def by_phase(self) -> dict[str, float]:
        """Return the seconds of each phase, in the order of a run."""
        return {name: getattr(self, name) for name in PHASES}

    @property
    def bottleneck(self) -> Phase:
        """The phase that the others waited for: the longest, where what threads share counts by their number."""
        threads = {"read": self.workers, "decode": self.workers, "infer": self.streams, "write": 1}
        shares = {name: seconds / threads[name] for name, seconds in self._loop()}
        return max(shares, key=lambda name: shares[name])

    def _loop(self) -> Iterator[tuple[Phase, float]]:
        for name in PHASES:
            if name != "load":
                yield name, getattr(self, name)


# What one bad item may raise; anything else is a fault of the code and stops the run.
ITEM_ERRORS = (UndecodableImage, ItemError, OSError)


@dataclass(frozen=True)
class Encoded:
    """Some items' rows [n, dim]; `items` [n] are positions in the request, in any order."""

    items: NDArray[np.int64]
    vectors: Rows


@dataclass(frozen=True)
class Failed:
    """One item that could not be read or prepared, and why."""

    item: int
    reason: str


@dataclass(frozen=True)
class _Ready:
    item: int
    prepared: Any


_Window = deque[Future[list[_Ready | Failed]]]


def encode_stream(
    encoder: Encoder,
    load: Callable[[int], Raw],
    count: int,
    workers: int,
    seconds: Seconds,
    skip: Callable[[int], bool] = lambda item: False,  # noqa: ARG005
) -> Generator[Encoded | Failed, None, None]:
    """Encode items 0..count-1; `load(i)` gives the raw item and may raise one of `ITEM_ERRORS`.

    `workers` threads read and prepare, `encoder.concurrency` more infer; who takes the results stores them meanwhile.
    `skip(i)` is asked, from these threads too, before an item is read and again before it goes to the model, so that an
    item which is no longer wanted while the stream runs costs nothing more.

    Memory is bounded whatever `count` is: two windows of prepared items, one that the model works on and one ahead, and
    the batches that are with the model or about to be, two more than it computes at once.
    Close the generator to stop early: preparations that have not begun are then dropped.

    Raises
    ------
    RunError
        When the device has no room even for one item.
    """
    seconds.workers = max(1, workers)
    preparing = ThreadPoolExecutor(seconds.workers, "prepare")
    seconds.streams = encoder.concurrency
    inferring = ThreadPoolExecutor(encoder.concurrency, "infer")
    prepare = _Preparation(encoder, load, skip, seconds)
    try:
        with seconds.of("wall"):
            wanted = (item for item in range(count) if not skip(item))
            running: deque[Future[list[Encoded]]] = deque()
            for window in _windows(preparing, prepare, wanted, encoder):
                ready: list[_Ready] = []
                yield from _collect(window, ready)
                for batch in _batches(encoder, ready, skip):
                    running.append(inferring.submit(_infer, encoder, batch, seconds))
                    if len(running) > encoder.concurrency + 1:  # one that waits, so that the model never does
                        yield from running.popleft().result()
            while running:
                yield from running.popleft().result()
    finally:
        preparing.shutdown(cancel_futures=True)
        inferring.shutdown(cancel_futures=True)


class _Preparation:
    """Reads and prepares some items in one thread; what one of them raises fails that one alone."""

    def __init__(
        self, encoder: Encoder, load: Callable[[int], Raw], skip: Callable[[int], bool], seconds: Seconds
    ) -> None:
        self._encoder, self._load, self._skip, self._seconds = encoder, load, skip, seconds

    def __call__(self, items: Sequence[int]) -> list[_Ready | Failed]:
        raws: list[Raw] = []
        read: list[int] = []
        done: list[_Ready | Failed] = []
        with self._seconds.of("read"):
            for item in (each for each in items if not self._skip(each)):
                try:
                    raws.append(self._load(item))
                    read.append(item)
                except ITEM_ERRORS as error:
                    done.append(_failed(item, error))
        with self._seconds.of("decode"):
            return done + self._prepared(read, raws)

    def _prepared(self, items: Sequence[int], raws: Sequence[Raw]) -> list[_Ready | Failed]:
        if not items:
            return []
        try:
            return [_Ready(*pair) for pair in zip(items, self._encoder.prepare(raws), strict=True)]
        except ITEM_ERRORS as error:
            if len(items) == 1:
                return [_failed(items[0], error)]
        # One of them is to blame.
        return [each for one in zip(items, raws, strict=True) for each in self._prepared([one[0]], [one[1]])]


def _failed(item: int, error: Exception) -> Failed:
    return Failed(item, f"{type(error).__name__}: {error}")


def _windows(
    pool: ThreadPoolExecutor, prepare: _Preparation, wanted: Iterator[int], encoder: Encoder
) -> Iterator[_Window]:
    """Yield windows of running preparations, always one window ahead of the model."""
    ahead: deque[_Window] = deque()
    while items := list(islice(wanted, encoder.window)):
        ahead.append(deque(pool.submit(prepare, chunk) for chunk in _chunks(items, encoder.chunk)))
        if len(ahead) == 2:
            yield ahead.popleft()
    if ahead:
        yield ahead.popleft()


def _chunks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _collect(window: _Window, ready: list[_Ready]) -> Iterator[Failed]:
    """Move what was prepared from `window` into `ready`; yield what failed."""
    while window:
        for each in window.popleft().result():
            if isinstance(each, Failed):
                yield each
            else:
                ready.append(each)


def _batches(encoder: Encoder, ready: list[_Ready], skip: Callable[[int], bool]) -> Iterator[list[_Ready]]:
    """Use up a window's items in batches of like cost, so that little of a batch is padding; the costliest first."""
    ready.sort(key=lambda each: encoder.cost(each.prepared))
    while ready:
        # Every item of a batch is padded to its costliest, the last one here.
        fitting = max(1, encoder.budget // max(1, encoder.cost(ready[-1].prepared)))
        batch = [each for each in ready[-fitting:] if not skip(each.item)]
        del ready[-fitting:]
        if batch:
            yield batch


def _infer(encoder: Encoder, batch: Sequence[_Ready], seconds: Seconds) -> list[Encoded]:
    """Encode one batch; where the device has no room for it, its halves, and keep to their size from then on."""
    try:
        with seconds.of("infer"):
            vectors = encoder.encode([each.prepared for each in batch])
    except OutOfMemory as error:
        if len(batch) == 1:
            raise RunError(
                f"embed: expected room on the device for a batch of one item; found none ({error}); free its memory "
                "or set DIPTYCH_DEVICE=cpu. The rows before are in the store."
            ) from error
    else:
        return [Encoded(_items(batch), vectors)]
    half = len(batch) // 2
    encoder.budget = max(1, min(encoder.budget, half * max(encoder.cost(each.prepared) for each in batch)))
    return _infer(encoder, batch[:half], seconds) + _infer(encoder, batch[half:], seconds)


def _items(batch: Iterable[_Ready]) -> NDArray[np.int64]:
    return np.array([each.item for each in batch], dtype=np.int64)
