"""Compute what the store lacks: encode, gate every row, commit every few seconds; `run` exports what is then there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Tracker
from stages.encoders.protocol import Vectors
from stages.encoders.timing import Seconds
from store import EncoderLog, row_problems


@dataclass
class Committer:
    """Collects finished rows and appends them to the log by bytes and by seconds; a kill costs only what is pending.

    Attributes
    ----------
    failures : dict
        Position in the request -> reason, for rows that the quality gate refused or that never came.
    """

    log: EncoderLog
    keys: NDArray[np.uint8]
    dtype: str
    provenance: Mapping[str, Any]
    tracker: Tracker
    max_seconds: float
    max_bytes: int
    seconds: Seconds
    failures: dict[int, str] = field(default_factory=dict)
    stored: int = 0
    _pending: list[tuple[NDArray[np.int64], NDArray[Any]]] = field(default_factory=list)
    _pending_bytes: int = 0
    _last: float = field(default_factory=time.monotonic)

    def add(self, items: NDArray[np.int64], vectors: Vectors) -> None:
        """Gate the rows of one batch (`items` [n]: positions in the request; `vectors` [n, D]), keep the good ones."""
        with np.errstate(over="ignore"):  # an overflow in the cast is caught as non-finite just below
            stored = vectors.astype(self.dtype)
        problems = row_problems(stored)
        good = problems == ""
        for item, problem in zip(items[~good], problems[~good], strict=True):
            self.fail(int(item), f"the encoder gave a {problem} row in {self.dtype}")
        self._pending.append((items[good], stored[good]))
        self._pending_bytes += stored[good].nbytes
        self.tracker.advance(int(good.sum()), self._note())
        if self._pending_bytes >= self.max_bytes or time.monotonic() - self._last >= self.max_seconds:
            self.commit()

    def fail(self, item: int, reason: str) -> None:
        """Count one item as failed; it is never stored."""
        self.failures[item] = reason
        self.tracker.advance(1, self._note())

    def commit(self) -> None:
        """Append the pending rows as one immutable segment."""
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        self._last = time.monotonic()
        items = np.concatenate([each for each, _ in pending]) if pending else np.zeros(0, dtype=np.int64)
        if not len(items):
            return
        with self.seconds.of("write"):
            vectors = np.ascontiguousarray(np.concatenate([each for _, each in pending]))
            self.log.append(self.keys[items], vectors, self.provenance)
        self.stored += len(items)

    def _note(self) -> str:
        return f"{len(self.failures)} failed" if self.failures else ""
