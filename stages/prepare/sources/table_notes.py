"""Counts what in a table is not wrong but hardly meant, such as a separator that no cell holds; `table_check` asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stages.prepare.sources.table_cells import MISSING_WORDS, plain
from stages.prepare.sources.table_row import TableRow
from stages.prepare.table_params import LISTS, TableParams

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
