"""A progress that kills a run in the middle of an epoch, and counts the rows that the trainings went over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Killed(BaseException):
    """As an interrupt, nothing catches it."""


class Counting:
    """Counts the rows that were told to any bar; raises when told to."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.rows, self.bars = 0, list[str]()
        self._kill_at = kill_at

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Counting]:  # noqa: ARG002
        self.bars.append(description)
        yield self

    def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.rows += n
        if self._kill_at is not None and n and self.rows >= self._kill_at:
            raise Killed
