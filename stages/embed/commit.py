"""Gate finished rows and append them to the log every few seconds; `compute` hands them in batch by batch."""

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
from stages.errors import RunError
from store import EncoderLog, row_problems


@dataclass
class Committer:
    """Collects finished rows and appends them by bytes and by seconds; a kill costs only what is pending.

    Attributes
    ----------
    keys : ndarray of uint8, [U, 32]
        The keys of the request.
    failures : dict
        Position in the request -> reason, for rows that the quality gate refused or that never came.
    """

    log: EncoderLog
    keys: NDArray[np.uint8]
    provenance: Mapping[str, Any]
    tracker: Tracker
    max_seconds: float
    max_bytes: int
    seconds: Seconds
    failures: dict[int, str] = field(default_factory=dict)
    _pending: list[tuple[NDArray[np.int64], NDArray[np.floating[Any]]]] = field(default_factory=list)
    _pending_bytes: int = 0
    _last: float = field(default_factory=time.monotonic)

    def add(self, items: NDArray[np.int64], vectors: Vectors) -> None:
        """Gate the rows of one batch (`items` [n]: positions in the request; `vectors` [n, D]), keep the good ones.

        Raises
        ------
        RunError
            When the encoder gave vectors of another number or width than it promised.
        """
        if vectors.shape != (len(items), self.log.dim):
            raise RunError(
                f"embed: expected {len(items)} vectors of {self.log.dim} numbers from encoder "
                f"{self.log.fingerprint.encoder!r}; found {list(vectors.shape)}; mend the encoder. "
                "The rows before are in the store."
            )
        with np.errstate(over="ignore"):  # an overflow in the cast is caught as non-finite just below
            stored = vectors.astype(self.log.dtype)
        problems = row_problems(stored)
        good = problems == ""
        for item, problem in zip(items[~good], problems[~good], strict=True):
            self.fail(int(item), f"the encoder gave a {problem} row in {self.log.dtype}")
        self._keep(items[good], stored[good])

    def fail(self, item: int, reason: str) -> None:
        """Count one item as failed; it is never stored."""
        self.failures[item] = reason
        self.tracker.advance(1, self._note())

    def _keep(self, items: NDArray[np.int64], rows: NDArray[np.floating[Any]]) -> None:
        self._pending.append((items, rows))
        self._pending_bytes += rows.nbytes
        self.tracker.advance(len(items), self._note())
        if self._pending_bytes >= self.max_bytes or time.monotonic() - self._last >= self.max_seconds:
            self.commit()

    def commit(self) -> None:
        """Append the pending rows as one immutable segment."""
        items = np.concatenate([np.zeros(0, dtype=np.int64), *(each for each, _ in self._pending)])
        if len(items):
            with self.seconds.of("write"):
                rows = np.concatenate([each for _, each in self._pending])
                self.log.append(self.keys[items], rows, self.provenance)
        # Only now: rows whose append was interrupted stay pending, and the run's last commit repeats it, which is safe.
        self._pending, self._pending_bytes = [], 0
        self._last = time.monotonic()

    def _note(self) -> str:
        return f"{len(self.failures)} failed" if self.failures else ""
