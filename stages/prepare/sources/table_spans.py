"""Judges the records of a CSV that span lines: long texts, or rows that a stray quote swallowed; for `table_check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from stages.prepare.sources.table_cells import labels_of, number_of, without_blanks
from stages.prepare.sources.table_row import Cell, Span, TableRow
from stages.prepare.table_params import TableParams

_MOST = 1000
_TOLD = 3


class _Doubtful(NamedTuple):
    """A record of which more than half of the lines are rows of their own when quotes are read as letters."""

    line: int
    span: Span
    malformed: bool
    answers: list[tuple[str, ...]]
    numbers: int


class TableSpans:
    """Looks at rows, and says afterwards which of them may be several.

    Parameters
    ----------
    table : TableParams
        Which columns hold the answer: a text hardly has the name of a class at just its place.
    name : str
        The name of the file, for messages.
    """

    def __init__(self, table: TableParams, name: str) -> None:
        self._table = table
        self._name = name
        self._cells = self._rows = 0
        self._first = ""
        self._doubtful: list[_Doubtful] = []

    def look_at(self, row: TableRow) -> None:
        """Look at one row."""
        if row.span is None:
            return
        self._cells += row.span.cells
        self._rows += 1
        self._first = self._first or self._lines(row.line, row.span)
        doubtful = bool(row.span.alone) if row.fault else _most(len(row.span.alone), row.span)
        if doubtful and self._table.quoting == "checked" and len(self._doubtful) < _MOST:
            answers = [self._answer(cells) for cells in row.span.alone]
            numbers = sum(self._is_number(cells) for cells in row.span.alone)
            self._doubtful.append(_Doubtful(row.line, row.span, bool(row.fault), answers, numbers))

    def problems(self, classes: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield place and words of each record that is surely several rows, given the classes of the table."""
        known = {label for label in classes if "\n" not in label}
        for each in self._doubtful:
            if self._is_sure(each, known):
                yield (
                    f"{self._name}:{each.line}",
                    f"expected one row, found the lines {each.line} to {each.span.last} in one, of which "
                    f"{len(each.span.alone)} are rows of their own: a stray quote seems to have swallowed them; set "
                    "prepare.table.quoting to none if the file is written without quoting, else mend the quote, or set "
                    "it to standard if the cell is meant to span lines",
                )

    def notes(self) -> Iterator[str]:
        """Yield how many cells span lines, and which of them look like rows."""
        if self._cells:
            where = f", the first on {self._first}" if self._first else ""
            yield f"{self._cells} cells span lines, in {self._rows} rows{where}"
        if self._doubtful:
            places = [self._lines(each.line, each.span) for each in self._doubtful[:_TOLD]]
            more = len(self._doubtful) - len(places)
            yield (
                f"the lines of {len(self._doubtful)} of these rows have as many cells as a row "
                f"({'; '.join(places)}{f'; and {more} more' if more else ''}): has a stray quote swallowed rows? Where "
                "the file is written without quoting, set prepare.table.quoting to none"
            )

    def _is_sure(self, doubtful: _Doubtful, known: Collection[str]) -> bool:
        often = Counter(label for answer in doubtful.answers for label in answer)
        likely = {*known, *(label for label, times in often.items() if times > 1)}
        named = sum(bool(answer) and likely.issuperset(answer) for answer in doubtful.answers)
        return doubtful.malformed or _most(named + doubtful.numbers, doubtful.span)

    def _answer(self, cells: Mapping[str, Cell]) -> tuple[str, ...]:
        if self._table.target is not None:
            return ()
        try:
            return labels_of(self._table, without_blanks(TableRow(0, cells), frozenset(self._table.blank)).cells) or ()
        except ValueError:
            return ()

    def _is_number(self, cells: Mapping[str, Cell]) -> bool:
        if self._table.target is None:
            return False
        try:
            return number_of(cells.get(self._table.target), self._table.thousands, self._table.decimal) is not None
        except ValueError:
            return False

    def _lines(self, line: int, span: Span) -> str:
        return f"{self._name}:{line} to {span.last}"


def _most(count: int, span: Span) -> bool:
    return span.lines > 1 and 2 * count > span.lines
