"""Where the time of one embedding run goes; filled by the batching loop and by `embed`, printed at the end of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal


@dataclass
class Seconds:
    """Wall-clock seconds by part; `prepare` is what the model waited for reading, decoding and tokenising."""

    load: float = 0.0
    prepare: float = 0.0
    infer: float = 0.0
    write: float = 0.0

    @contextmanager
    def of(self, part: Literal["load", "prepare", "infer", "write"]) -> Iterator[None]:
        """Add the time spent inside the block to `part`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + time.perf_counter() - start)
