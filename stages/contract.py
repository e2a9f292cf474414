"""What the stages ask of whoever runs them (progress, executor), and the words they share: protocols, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol, get_args

Part = Literal["train", "dev", "test"]
Scale = Literal["none", "standard", "l2"]
PARTS: tuple[Part, ...] = get_args(Part)


class Tracker(Protocol):
    """One running progress bar."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more items as done; a `note` replaces the text at the end of the bar."""


class Progress(Protocol):
    """Opens progress bars; `pipeline.journal.console` draws them, tests pass `SilentProgress`."""

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


WorkFunction = Callable[[Any], Any]
"""A function that stands in a module, so that another process can import it; it takes and returns plain JSON values."""


class Executor(Protocol):
    """Does many units of work, here or in other processes; `pipeline.machine.executors` makes one from the settings.

    What goes to a worker and what comes back is plain JSON data: paths, positions, counts. Vectors and pictures stay
    out of it; a worker reads them from, and writes them to, the place that it is told.

    Attributes
    ----------
    apart : bool
        Whether the work is done in other processes, so that it pays to cut it up.
    workers : int
        How many processes do it; asking starts them.
    """

    @property
    def apart(self) -> bool:
        """Whether the work is done in other processes."""

    @property
    def workers(self) -> int:
        """How many processes do it."""

    def map(self, work: WorkFunction, units: Iterable[Any]) -> Generator[tuple[int, Any], None, None]:
        """Yield the position of each unit with the result of `work(unit)`, as they come; a few units are read ahead.

        A unit whose worker is lost goes to another worker. Close the generator to drop what has not begun.

        Raises
        ------
        UnitLost
            When a unit lost one worker after the other.
        RunError
            When whoever hands out the units is gone, or all workers are.
        Exception
            What `work` raised: the first such error ends the map.
        """

    def everywhere(self, work: WorkFunction, argument: Any) -> None:
        """Call `work(argument)` in each process, beside whatever it computes; a coroutine function is awaited there."""
