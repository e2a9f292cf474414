"""Looks for what is hardly meant: unlike separators, flags for names, rows that a stray quote swallowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from stages.prepare.sources.table.cells import (
    FLAGS,
    MISSING_WORDS,
    Cell,
    Span,
    TableRow,
    labels_of,
    number_of,
    plain,
    whole_number,
    without_blanks,
)
from stages.prepare.sources.table.params import LISTS, TableParams

_SEPARATORS = (",", ";", "|", "/")


class TableNotes:
    """Looks at rows, and says afterwards what a person should look at.

    Parameters
    ----------
    table : TableParams
        Which columns mean what.
    """

    def __init__(self, table: TableParams) -> None:
        self._table = table
        columns = (*table.fields.values(), table.image, table.group)
        self._columns = tuple(dict.fromkeys(column for column in columns if column is not None))
        self._missing: Counter[tuple[str, str]] = Counter()
        self._separators: Counter[str] = Counter()
        self._labelled = 0

    def look_at(self, row: TableRow) -> None:
        """Count one row."""
        for column in self._columns:
            cell = row.cells.get(column)
            if isinstance(cell, str) and len(cell) < 12 and cell.strip().casefold() in MISSING_WORDS:
                self._missing[column, cell.strip()] += 1
        cell = plain(row.cells.get(self._table.labels or ""))
        if cell is not None and self._table.sep != LISTS and not cell.lstrip().startswith("["):
            self._labelled += 1
            self._separators.update(mark for mark in {*_SEPARATORS, self._table.sep} if mark in cell)

    def told(self) -> Iterator[str]:
        """Yield the notes."""
        for (column, word), count in sorted(self._missing.items()):
            yield (
                f"{count} cells of column {column!r} say {word!r}: if that means that they are empty, list it in "
                "prepare.table.blank"
            )
        mark, count = next(iter(self._separators.most_common(1)), ("", 0))
        if mark and not self._separators[self._table.sep] and count * 10 >= self._labelled:
            yield (
                f"no cell of column {self._table.labels!r} holds the separator {self._table.sep!r}, "
                f"and {count} of {self._labelled} hold {mark!r}: is prepare.table.sep right?"
            )


class TableFlags:
    """Looks at the labels of rows, and says afterwards whether they are flags or numbers in disguise.

    Parameters
    ----------
    table : TableParams
        Which columns hold the labels.
    """

    def __init__(self, table: TableParams) -> None:
        self._table = table
        self._lengths: set[int] = set()
        self._repeated = False
        self._other = False

    def look_at(self, given: Sequence[str] | None) -> None:
        """Look at the labels of a row as they stand there."""
        if self._table.labels is None or not given or self._other:
            return
        self._lengths.add(len(given))
        self._repeated = self._repeated or len(set(given)) < len(given)
        self._other = len(self._lengths) > 1 or not all(each.strip().lower() in FLAGS for each in given)

    def problem(self) -> str:
        """Return what is wrong where every list has a flag for each class, and nobody names the classes; "" else."""
        if self._other or not self._repeated or self._table.classes is not None:
            return ""
        return (
            f"column {self._table.labels!r}: expected names of classes, found 0 or 1 for each of {max(self._lengths)} "
            "classes (one-hot); name them in prepare.table.classes, in the order of the flags"
        )

    def notes(self, classes: Collection[str]) -> Iterator[str]:
        """Yield what is odd about the names of the classes that were found."""
        if self._table.classes is not None or self._table.onehot:
            return
        column = self._table.label or self._table.labels
        if {*classes} == {"0", "1"}:
            yield (
                f"the classes of column {column!r} are '0' and '1': where it is one of several columns of flags, one "
                "for each class, list them in prepare.table.onehot"
            )
        spelled = [label for label in classes if whole_number(label) not in (None, label)]
        if spelled and all(whole_number(label) for label in classes):
            beside = sorted({str(whole_number(label)) for label in spelled} & {*classes})
            another = f" ({beside[0]!r} is another class)" if beside else ""
            yield (
                f"{len(spelled)} classes of column {column!r} are whole numbers with a fraction, such as "
                f"{spelled[0]!r}, as pandas writes them beside blanks{another}; "
                f"prepare.table.whole: true calls it {whole_number(spelled[0])!r}"
            )


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
