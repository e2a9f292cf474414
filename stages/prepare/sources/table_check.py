"""The first pass over a table: all that must stop the run before a row is kept; `table` makes the second pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stages.contract import Part
from stages.errors import InputError
from stages.prepare.params import TableParams
from stages.prepare.sources.formats import Cell, TableRow
from stages.prepare.sources.problems import Problems, did_you_mean

PART_NAMES: Mapping[str, Part] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
}


def wanted_columns(table: TableParams) -> dict[str, str]:
    """Return each column that the parameters name, with the key of params.yaml that names it."""
    keys = ("id", "image", "text", "label", "labels", "target", "split", "group")
    wanted = {getattr(table, key): key for key in keys if getattr(table, key) is not None}
    wanted |= {column: f"texts.{name}" for name, column in table.texts.items()}
    return wanted | {column: "meta" for column in table.meta if column not in wanted}


def plain(cell: Cell) -> str | None:
    """Return the text of a cell, None where it is blank."""
    return cell if isinstance(cell, str) and cell.strip() else None


def labels_of(table: TableParams, cells: Mapping[str, Cell]) -> tuple[str, ...] | None:
    """Return the distinct classes of a row in their order, without outer blanks; None where it is not labelled."""
    if table.label is not None:
        label = plain(cells.get(table.label))
        return None if label is None else (label.strip(),)
    cell = cells.get(table.labels or "")
    given = cell.split(table.sep) if isinstance(cell, str) else cell or []
    return tuple(dict.fromkeys(label.strip() for label in given if label.strip())) or None


@dataclass
class TableCheck:
    """Gathers the mistakes of a table, row by row.

    Parameters
    ----------
    table : TableParams
        Which columns mean what.
    name : str
        The name of the file, for messages.
    """

    table: TableParams
    name: str
    count: int = 0
    classes: tuple[str, ...] = ()
    _problems: Problems = field(default_factory=Problems)
    _ids: dict[str, int] = field(default_factory=dict)
    _labels: dict[str, int] = field(default_factory=dict)
    _spellings: dict[str, str] = field(default_factory=dict)
    _columns: set[str] = field(default_factory=set)

    def run(self, declared: tuple[str, ...] | None, rows: Iterable[TableRow]) -> None:
        """Look at every row; then `count` and `classes` are known.

        Raises
        ------
        InputError
            With up to twenty mistakes, each naming its line: a missing column, a malformed row, a blank or repeated
            id, an unknown split or label, an empty table.
        """
        if declared is not None:
            self._require_columns(declared)
        self._problems.raise_any()
        try:
            for row in rows:
                self.count += 1
                self._look_at(row)
                if self._problems.full:
                    break
        except InputError as error:  # the reader cannot go on: its message stands last
            self._problems.add_message(str(error))
        if self.count and declared is None:
            self._require_columns(tuple(sorted(self._columns)))
        self._problems.raise_any()
        self._conclude()

    def _require_columns(self, columns: tuple[str, ...]) -> None:
        if not columns:
            raise InputError(_empty(self.name))
        for column, key in wanted_columns(self.table).items():
            if column not in columns:
                near = did_you_mean(column, columns) or f"the columns are {', '.join(map(repr, columns))};"
                self._problems.add(
                    f"{self.name}:1", f"expected the column {column!r}, found none; {near} mend prepare.table.{key}"
                )

    def _look_at(self, row: TableRow) -> None:
        where = f"{self.name}:{row.line}"
        if row.fault:
            self._problems.add(where, row.fault)
            return
        self._columns.update(row.cells)
        for column, cell in row.cells.items():
            if isinstance(cell, list) and column != self.table.labels:
                self._problems.add(where, f"expected one value in column {column!r}, found a list; convert the column")
        self._look_at_id(where, row)
        self._look_at_part(where, row)
        for label in labels_of(self.table, row.cells) or () if self.table.target is None else ():
            if label not in self._labels:
                self._labels[label] = row.line
                self._look_at_label(where, label)

    def _look_at_id(self, where: str, row: TableRow) -> None:
        if self.table.id is None:
            return
        identity = plain(row.cells.get(self.table.id))
        if identity is None:
            self._problems.add(where, f"expected an id in column {self.table.id!r}, found a blank cell; fill it in")
        elif identity in self._ids:
            first = f"{self.name}:{self._ids[identity]}"
            self._problems.add(
                where, f"expected distinct ids, found the duplicate id {identity!r} of {first}; rename or remove one"
            )
        else:
            self._ids[identity] = row.line

    def _look_at_part(self, where: str, row: TableRow) -> None:
        part = plain(row.cells.get(self.table.split)) if self.table.split else None
        if part is not None and part.strip().lower() not in PART_NAMES:
            self._problems.add(
                where, f"expected train, dev (or val) or test as the split, found {part!r}; mend the cell"
            )

    def _look_at_label(self, where: str, label: str) -> None:
        """Compare a label met for the first time with the declared classes, or with the spellings met before."""
        if self.table.classes is not None:
            if label not in self.table.classes:
                near = did_you_mean(label, self.table.classes) or f"the classes are {', '.join(self.table.classes)};"
                self._problems.add(
                    where,
                    f"expected a declared class, found the unknown label {label!r}; {near} mend the cell or classes",
                )
            return
        other = self._spellings.setdefault(" ".join(label.split()).casefold(), label)
        if other != label:
            self._problems.add(
                where,
                f"expected one spelling per class, found {label!r} beside {other!r} of "
                f"{self.name}:{self._labels[other]}; use one spelling, or declare prepare.table.classes",
            )

    def _conclude(self) -> None:
        if not self.count:
            raise InputError(_empty(self.name))
        if self.table.target is not None:
            return
        self.classes = self.table.classes or tuple(sorted(self._labels))
        if not self._labels:
            column = self.table.label or self.table.labels
            raise InputError(
                f"{self.name}: expected labels in column {column!r}, found only blank cells; name another column"
            )


def _empty(name: str) -> str:
    return f"{name}: expected rows, found an empty data set; check prepare.path"
