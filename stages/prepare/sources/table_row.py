"""What every reader of a table yields: one row with its place, its cells and what is odd about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

Cell = str | list[str] | None


class Span(NamedTuple):
    """Where a record of a CSV stands on several lines.

    Attributes
    ----------
    last : int
        The 1-based line it ends on.
    cells : int
        How many of its cells hold an end of a line.
    lines : int
        How many lines it has, blank ones aside.
    alone : tuple of mapping
        Those of its lines that hold a whole row when quotes are read as letters: their wanted cells.
    """

    last: int
    cells: int
    lines: int
    alone: tuple[Mapping[str, Cell], ...]


class TableRow(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    line : int
        Its 1-based line; in Parquet its number.
    cells : mapping of str to Cell
        Those of the wanted columns that it has.
    fault : str
        Why it cannot be read, as expected, found, remedy; "" where it can.
    others : tuple of str
        The names that a JSON row has besides.
    blank : bool
        Whether nothing stands on its line but blanks and delimiters.
    span : Span or None
        Where it stands on several lines of a CSV.
    """

    line: int
    cells: Mapping[str, Cell]
    fault: str = ""
    others: tuple[str, ...] = ()
    blank: bool = False
    span: Span | None = None


class TableFile(Protocol):
    """A table file of one format."""

    def columns(self) -> tuple[str, ...] | None:
        """Return the columns that the file declares; None where each row names its own."""

    def class_names(self, column: str) -> tuple[str, ...]:
        """Return the names that the file gives the numbers in a column, in their order; () where it gives none."""

    def rows(self, wanted: frozenset[str]) -> Iterator[TableRow]:
        """Yield all rows with those of the wanted columns that they have; may be asked for again."""
