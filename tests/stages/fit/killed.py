"""A progress that kills a fit in the middle of an epoch, and one that notes how many rows were run over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stages.contract import SilentProgress


class Killed(BaseException):
    """As an interrupt, nothing catches it."""


class Counting:
    """Counts the rows that one bar was told of, that of the training itself by default; raises when told to."""

    def __init__(self, kill_at: int | None = None, of: str = "fit it") -> None:
        self.rows, self.total = 0, 0
        self._kill_at, self._of = kill_at, of

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Counting]:
        if description.partition(", behind epoch ")[0] == self._of:
            self.total += total or 0
            yield self
        else:
            yield SilentProgress()  # type: ignore[misc]

    def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.rows += n
        if self._kill_at is not None and n and self.rows >= self._kill_at:
            raise Killed
