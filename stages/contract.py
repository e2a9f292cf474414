"""What the stages ask of whoever runs them (progress) and of each other (tasks): protocols and words, no behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol, get_args

Task = Literal["multilabel", "multiclass", "regression"]
Part = Literal["train", "dev", "test"]
Scale = Literal["none", "standard", "l2"]
PARTS: tuple[Part, ...] = get_args(Part)


class Tracker(Protocol):
    """One running progress bar."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more items as done; a `note` replaces the text at the end of the bar."""


class Progress(Protocol):
    """Opens progress bars; `pipeline.console` draws them, tests pass `SilentProgress`."""

    def track(self, description: str, total: int | None) -> AbstractContextManager[Tracker]:
        """Open a bar over `total` items (None when the number is not known)."""


class SilentProgress:
    """The null object: counts nothing and prints nothing."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Do nothing."""

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Tracker]:  # noqa: ARG002 (the null object)
        """Yield itself as a tracker that does nothing."""
        yield self
