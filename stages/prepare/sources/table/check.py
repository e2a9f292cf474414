"""The first pass over a table: all that must stop the run before a row is kept; `source` makes the second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stages.contract import Part
from stages.prepare.sources.mistakes import Mistakes, did_you_mean
from stages.prepare.sources.table.cells import (
    MISSING_WORDS,
    TableRow,
    folded,
    given_labels,
    named_labels,
    not_text,
    plain,
)
from stages.prepare.sources.table.oddities import TableFlags, TableNotes, TableSpans
from stages.prepare.sources.table.params import TableParams
from store.errors import InputError

_MOST_COLUMNS = 1000
_MOST_FAULTS = 20

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
    wanted |= dict.fromkeys(table.onehot, "onehot")
    wanted |= {column: f"texts.{name}" for name, column in table.texts.items()}
    return wanted | {column: "meta" for column in table.meta if column not in wanted}


@dataclass
class TableCheck:
    """Gathers the mistakes of a table, row by row.

    Parameters
    ----------
    table : TableParams
        Which columns mean what.
    name : str
        The name of the file, for messages.
    places : mapping of str to str
        By what the classes that the file itself names are sorted.

    Attributes
    ----------
    count : int
        How many rows there are.
    classes : tuple of str
        The classes in their order.
    dropped : int
        How many classes have too few rows.
    """

    table: TableParams
    name: str
    places: Mapping[str, str] = field(default_factory=dict)
    count: int = 0
    classes: tuple[str, ...] = ()
    dropped: int = 0
    _problems: Mistakes = field(default_factory=Mistakes)
    _ids: dict[str, int] = field(default_factory=dict)
    _labels: dict[str, int] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _spellings: dict[str, str] = field(default_factory=dict)
    _columns: set[str] = field(default_factory=set)
    _unlisted: bool = False

    def __post_init__(self) -> None:
        self._notes = TableNotes(self.table)
        self._flags = TableFlags(self.table)
        self._spans = TableSpans(self.table, self.name)
        self._faults: list[tuple[str, str]] = []
        self._read = self._negatives = 0

    def run(self, declared: tuple[str, ...] | None, rows: Iterable[TableRow]) -> None:
        """Look at every row; then `count` and `classes` are known.

        Raises
        ------
        InputError
            With up to twenty mistakes, each naming its line: a missing column, rows that a stray quote has swallowed,
            a blank or repeated id, an unknown split or label, a label cell of another form, an empty table, or one in
            which every row is malformed.
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
        for where, told in self._spans.problems(self._labels):
            self._problems.add(where, told)
        if not self._read:
            for where, told in self._faults:
                self._problems.add(where, told)
        elif declared is None and not self._problems.any:
            self._require_columns(tuple(sorted(self._columns)))
        self._problems.raise_any(self.notes)
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
        self._spans.look_at(row)
        if row.fault and len(self._faults) < _MOST_FAULTS:
            self._faults.append((where, row.fault))
        if row.fault or row.blank:
            return
        self._read += 1
        if len(self._columns) < _MOST_COLUMNS:
            self._columns.update(row.cells, row.others)
        for column, cell in row.cells.items():
            if isinstance(cell, list) and column != self.table.labels:
                self._problems.add(where, f"expected one value in column {column!r}, found a list; convert the column")
        self._look_at_id(where, row)
        self._look_at_part(where, row)
        if not not_text(row.cells):  # such a row is rejected later, labels and all
            self._notes.look_at(row)
            self._look_at_labels(where, row)

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

    def _look_at_labels(self, where: str, row: TableRow) -> None:
        if self.table.target is not None:
            return
        try:
            given = given_labels(self.table, row.cells)
            labels = named_labels(self.table, given)
        except ValueError as error:
            if not self._unlisted:  # one is enough: the next twenty cells look alike
                column = self.table.labels or self.table.label
                self._problems.add(where, f"column {column!r}: {error}" if column else str(error))
            self._unlisted = True
            return
        self._flags.look_at(given)
        self._negatives += labels == ()
        self._counts.update(labels or ())
        for label in labels or ():
            if label not in self._labels:
                self._labels[label] = row.line
                self._look_at_label(where, label)

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
        if label in self.places or self.table.onehot:
            return
        if label.casefold() in MISSING_WORDS:
            self._problems.add(
                where,
                f"expected a class, found {label!r}, which may say that there is none; list it in prepare.table.blank, "
                "or declare prepare.table.classes",
            )
        other = self._spellings.setdefault(folded(label), label)
        if other != label:
            self._problems.add(
                where,
                f"expected one spelling per class, found {_told_apart(label)} beside {_told_apart(other)} of "
                f"{self.name}:{self._labels[other]}; use one spelling, set prepare.table.fold, or declare "
                "prepare.table.classes",
            )

    def _conclude(self) -> None:
        if not self._read:
            raise InputError(_empty(self.name))
        if self.table.target is not None:
            return
        if flags := self._flags.problem():
            raise InputError(f"{self.name}: {flags}")
        if self._labels:
            self._choose_classes()
        else:
            column = self.table.label or self.table.labels or self.table.onehot[0]
            raise InputError(
                f"{self.name}: expected labels in column {column!r}, found only blank cells and empty lists; name "
                "another column"
            )

    def _choose_classes(self) -> None:
        least = self.table.min_count
        kept = [label for label in self._labels if self._counts[label] >= least]
        self.classes = (
            self.table.classes
            or self.table.onehot
            or tuple(sorted(kept, key=lambda label: self.places.get(label, label)))
        )
        if not self.classes:
            most = max(self._counts.values())
            raise InputError(
                f"{self.name}: expected classes of {least} rows or more, found at most {most} rows of one; lower "
                "prepare.table.min_count"
            )
        self.dropped = 0 if self.table.classes or self.table.onehot else len(self._labels) - len(kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not wrong but hardly meant."""
        told = [*self._notes.told(), *self._spans.notes(), *self._flags.notes(self.classes)]
        if self._negatives:
            how = "no 1" if self.table.onehot else "an empty list"
            told.append(
                f"{self._negatives} rows bear none of the classes ({how}) and count as labelled; "
                "prepare.table.negatives: false takes them for unlabelled"
            )
        return tuple(told)


def _told_apart(label: str) -> str:
    """Quote a label so that what cannot be seen is."""
    return repr(label) if label.isascii() else ascii(label)


def _empty(name: str) -> str:
    return f"{name}: expected rows, found an empty data set; check prepare.path"
