"""Where the time of one embedding run goes; filled by the batching loop and by `embed`, printed at the end of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

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
