"""Reads the records of a CSV file as a stream, each with its lines; `formats` chooses it by the name's ending."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from stages.prepare.sources.table.cells import Cell, Span, TableRow
from stages.prepare.sources.table.params import Quoting, is_delimiter
from stages.prepare.sources.text_files import MAX_CELL, decoded_lines
from store.errors import InputError

# The csv module knows only one limit for the whole process, by default 128 kB: less than a long description.
csv.field_size_limit(MAX_CELL)

_DELIMITERS = (";", "\t", ",", "|")
_DECLARED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The first line by which Excel tells what stands between the cells."""


class _Record(NamedTuple):
    """The cells of a record, and the lines that it stands on."""

    line: int
    cells: list[str]
    lines: list[str]


class CsvFile:
    """CSV as RFC 4180 has it, with a header; the cells may be delimited otherwise, or written without quotes.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str
        Of its text.
    delimiter : str or None
        What stands between the cells; None for what a first line such as `sep=;` says, or else `usual`.
    quoting : Quoting
        `none` takes a quote for a letter.
    usual : str
        The delimiter of a file that does not say.
    """

    def __init__(
        self,
        path: Path,
        encoding: str,
        delimiter: str | None = None,
        quoting: Quoting = "checked",
        usual: str = ",",
    ) -> None:
        self._path = path
        self._encoding = encoding
        self._chosen = delimiter
        self._usual = usual
        self._quoted = quoting != "none"

    def columns(self) -> tuple[str, ...]:
        """Return the header."""
        lines = _Lines(self._path, self._encoding)
        line, header, _ = next(self._records(lines), _Record(1, [], []))
        where = f"{self._path.name}:{line}"
        twice = [name for name, times in Counter(header).items() if times > 1 and name]
        if twice:
            raise InputError(f"{where}: expected columns with distinct names, found {twice[0]!r} twice; rename one")
        other = next((mark for mark in _DELIMITERS if len(header) == 1 and mark in header[0]), "")
        if other:
            raise InputError(
                f"{where}: expected cells with {self._delimiter(lines)!r} between them, found a header of one "
                f"cell that holds {other!r}; set prepare.table.delimiter to that"
            )
        return tuple(header)

    def class_names(self, column: str) -> tuple[str, ...]:  # noqa: ARG002 (the shape of every table)
        """Return nothing: a CSV names what it means."""
        return ()

    def rows(self, wanted: frozenset[str]) -> Iterator[TableRow]:
        """Yield the records after the header; empty lines are no records."""
        lines = _Lines(self._path, self._encoding)
        records = self._records(lines)
        _, header, _ = next(records, _Record(1, [], []))
        shape = _Shape(header, wanted, self._delimiter(lines))
        return (shape.row(record) for record in records)

    def _delimiter(self, lines: _Lines) -> str:
        return self._chosen or lines.declared or self._usual

    def _records(self, lines: _Lines) -> Iterator[_Record]:
        lines.begin()
        reader = csv.reader(
            lines,
            strict=True,
            delimiter=self._delimiter(lines),
            quoting=csv.QUOTE_MINIMAL if self._quoted else csv.QUOTE_NONE,
        )
        first = lines.number + 1
        try:
            for cells in reader:
                if cells:
                    yield _Record(first, cells, lines.taken)
                lines.taken = []
                first = lines.number + 1  # a quoted cell may span lines: a record stands where it begins
        except csv.Error as error:
            raise InputError(f"{self._path.name}:{first}: {_objection(str(error))}") from error


class _Lines:
    """Hands the lines of a file on, and remembers those of the record that is being read."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._lines = decoded_lines(path, encoding)
        self.number = 0
        self.declared = ""
        self.taken: list[str] = []

    def begin(self) -> None:
        """Read over a first line that only declares the delimiter."""
        first = next(self._lines, None)
        if first is None:
            return
        declared = _DECLARED.fullmatch(first)
        if declared and is_delimiter(declared[1]):
            self.declared = declared[1]
            self.number = 1
        else:
            self._lines = chain([first], self._lines)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.taken.append(line)
        return line


class _Shape:
    """What the rows of one file look like: the number of their cells, and which are wanted."""

    def __init__(self, header: list[str], wanted: frozenset[str], delimiter: str) -> None:
        self._size = len(header)
        self._places = [(position, name) for position, name in enumerate(header) if name in wanted]
        self._delimiter = delimiter

    def row(self, record: _Record) -> TableRow:
        line, cells, lines = record
        if not any(cell.strip() for cell in cells):
            return TableRow(line, {}, blank=True)
        span = self._span(record) if len(lines) > 1 else None
        if len(cells) != self._size:
            return TableRow(line, {}, self._fault(len(cells), span), span=span)
        return TableRow(line, {name: cells[position] for position, name in self._places}, span=span)

    def _span(self, record: _Record) -> Span:
        """Look at a record of several lines as if quotes were letters."""
        written = [line for line in record.lines if line.strip()]
        split = (line.rstrip("\r\n").split(self._delimiter) for line in written)
        alone = tuple(self._unquoted(cells) for cells in split if len(cells) == self._size)
        spanning = sum("\n" in cell or "\r" in cell for cell in record.cells)
        return Span(record.line + len(record.lines) - 1, spanning, len(written), alone)

    def _unquoted(self, cells: list[str]) -> dict[str, Cell]:
        return {name: cells[position].strip('"') for position, name in self._places}

    def _fault(self, found: int, span: Span | None) -> str:
        where = "" if span is None else f" on the lines up to {span.last}"
        mark = self._delimiter
        remedy = f"quote cells that hold {mark!r}" if found > self._size else f"a {mark!r} is lost"
        return f"expected {self._size} cells, found {found}{where}; {remedy}"


def _objection(error: str) -> str:
    """Put what the csv module objects to into three parts."""
    if "new-line" in error:
        return "expected lines that end in LF or CRLF, found a lone CR; save the table with other line ends"
    if "field limit" in error:
        return f"expected cells of at most {MAX_CELL:,} characters, found a longer one; close the quotes of the row"
    return (
        f"expected CSV with doubled quotes inside quoted cells, found this: {error}; mend the quotes of the row, or of "
        "the rows that an unclosed quote has swallowed; where the file is written without quoting, set "
        "prepare.table.quoting to none"
    )
