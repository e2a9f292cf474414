"""What a source of items is, for `run` on one side and for the sources on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from stages.prepare.params import PrepareParams
from stages.prepare.sections import Frozen
from store.items.records import Item, ManifestInfo

Reason = Literal[
    "missing-image", "unreadable-image", "unsafe-path", "no-content", "bad-record", "bad-target", "bad-text"
]


class Reject(NamedTuple):
    """A row that cannot become an item, and why; it is counted and written down, never dropped in silence."""

    id: str
    where: str
    reason: Reason
    detail: str


class Skip(NamedTuple):
    """A row that the data set's own rules leave out, such as a book in another language; counted by reason."""

    reason: str


class Source(Protocol):
    """A data set that has been opened and checked as a whole, ready to yield its rows."""

    @property
    def info(self) -> ManifestInfo:
        """What holds for all items."""

    @property
    def images(self) -> Path:
        """The folder below which the pictures lie while `prepare` runs."""

    @property
    def files(self) -> Iterable[Path]:
        """What is read beside the pictures, in the order in which it is; a file that need not be there counts too."""

    @property
    def expected(self) -> int | None:
        """How many rows `items` will yield, None where only reading them all could tell."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about choices made without being asked."""

    def items(self) -> Iterator[Item | Reject | Skip]:
        """Yield the rows in order, as a stream."""


@dataclass(frozen=True)
class Folders:
    """Where `prepare` works and where its outputs will stand.

    Attributes
    ----------
    workspace : Path
        A temporary folder that becomes `final` when the run succeeds.
    final : Path
        The folder of the outputs, as given.
    cache : Path or None
        Where a source may keep what it can make again at any time, such as an index; without one it uses the workspace
        and leaves nothing behind.
    """

    workspace: Path
    final: Path
    cache: Path | None = None


class SourceRow(NamedTuple):
    """One line of the catalogue of sources; `options` is the section of `prepare` that bears its name."""

    name: str
    description: str
    path_help: str
    open: Callable[[PrepareParams, Folders], Source]
    options: type[Frozen]


def first_rows(rows: Iterable[Item | Reject | Skip], limit: int | None) -> Iterator[Item | Reject | Skip]:
    """Yield rows until `limit` of them were items or rejects; None yields all."""
    left = limit
    for row in rows:
        yield row
        if left is not None and not isinstance(row, Skip):
            left -= 1
            if not left:
                return
