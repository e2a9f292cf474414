"""The rows of a table, and what their cells mean: blanks, lists of classes, spellings, numbers."""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from stages.prepare.sources.table.params import LISTS, TableParams

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


MISSING_WORDS = frozenset({"nan", "n/a", "na", "#n/a", "<na>", "null", "none"})
"""What programs write for a cell that they have no value for, in lower case."""

FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
"""How a flag is written, in lower case."""

_LONGEST_LIST = 100_000
_WHOLE = re.compile(r"([+-]?\d+)(?:\.0+)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)  # no two ways to read a digit: linear time


def plain(cell: Cell) -> str | None:
    """Return the text of a cell, None where it is blank."""
    return cell if isinstance(cell, str) and cell.strip() else None


def without_blanks(row: TableRow, blank: frozenset[str]) -> TableRow:
    """Empty the cells of a row that say by one of the agreed words that they are."""
    if not blank:
        return row
    cells = {
        name: None if isinstance(cell, str) and cell.strip() in blank else cell for name, cell in row.cells.items()
    }
    return row._replace(cells=cells)


def folded(label: str) -> str:
    """Return what is common to the spellings of one class: no case, single blanks, one Unicode form, nothing unseen."""
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", label) if sign.isprintable() or sign.isspace())
    return " ".join(seen.split()).casefold()


def labels_of(table: TableParams, cells: Mapping[str, Cell]) -> tuple[str, ...] | None:
    """Return the distinct classes of a row in their order, without outer blanks; None where it is not labelled.

    An empty list is a label too, unless `negatives` is off: the row bears none of the classes.

    Raises
    ------
    ValueError
        Where the cell should be a list and is not, or is one and should not be.
    """
    return named_labels(table, given_labels(table, cells))


def given_labels(table: TableParams, cells: Mapping[str, Cell]) -> list[str] | None:
    """Return the classes of a row as they stand there; None where nothing stands there.

    Raises
    ------
    ValueError
        As `labels_of` raises it.
    """
    if table.label is not None:
        label = plain(cells.get(table.label))
        return None if label is None else [label]
    if table.onehot:
        return _raised([plain(cells.get(column)) for column in table.onehot], table.onehot)
    cell = cells.get(table.labels or "")
    return _several(cell, table.sep) if isinstance(cell, str) else cell


def named_labels(table: TableParams, given: list[str] | None) -> tuple[str, ...] | None:
    """Return the classes that `given_labels` stands for, as `labels_of` does."""
    classes = table.classes or ()
    if given and len(given) == len(classes) > 1 and _are_flags(given) and not _are_flags(classes):
        given = _raised(given, classes)
    if given is not None and not given:
        return () if table.negatives else None
    if given and table.onehot:
        return tuple(given)
    stripped = (label.strip() for label in given or ())
    kept = [_whole(table, label) for label in stripped if label and label not in table.blank]
    return tuple(dict.fromkeys(_spelled(table, kept))) or None


def _are_flags(labels: Iterable[str]) -> bool:
    return all(label.strip().lower() in FLAGS for label in labels)


def _raised(flags: Sequence[str | None], classes: Sequence[str]) -> list[str] | None:
    """Return the classes whose flags are raised; None where there are no flags."""
    if not any(flags):
        return None
    for name, flag in zip(classes, flags, strict=True):
        if flag is None or flag.strip().lower() not in FLAGS:
            found = "a blank cell beside others" if flag is None else _cut(flag)
            raise ValueError(f"expected 0 or 1 for the class {name!r}, found {found}; mend the cell")
    return [name for name, flag in zip(classes, flags, strict=True) if flag and FLAGS[flag.strip().lower()]]


def _whole(table: TableParams, label: str) -> str:
    """Return 1 for 1.0 where that is asked for, or where 1 is declared and 1.0 is not."""
    whole = whole_number(label)
    if table.whole and whole is None and _NUMBER.fullmatch(label):
        raise ValueError(f"expected whole numbers, found {_cut(label)}; leave out prepare.table.whole")
    declared = table.classes is not None and label not in table.classes and whole in table.classes
    return whole if whole is not None and (table.whole or declared) else label


def whole_number(label: str) -> str | None:
    """Return the digits of a whole number, without the fraction that pandas may give it; None for all else."""
    found = _WHOLE.fullmatch(label)
    return found[1] if found else None


def _spelled(table: TableParams, labels: Iterable[str]) -> Iterable[str]:
    if not table.fold:
        return labels
    declared = {folded(name): name for name in table.classes or ()}
    return [declared.get(folded(label), folded(label)) for label in labels if folded(label)]


def _several(cell: str, sep: str) -> list[str] | None:
    text = cell.strip()
    if sep == LISTS:
        return _listed(text) if text else None
    if text.startswith("[") and text.endswith("]"):
        raise ValueError(
            f"expected classes with {sep!r} between them, found a list: {_cut(text)}; set prepare.table.sep to "
            f"{LISTS!r}, which reads lists as JSON or Python write them"
        )
    return text.split(sep)


def _listed(text: str) -> list[str] | None:
    """Read `["a", "b"]` or `['a', 'b']` as data; nothing is evaluated. A list of nulls says nothing."""
    values = _literal(text) if len(text) <= _LONGEST_LIST else None
    if not isinstance(values, list | tuple) or any(isinstance(value, list | tuple | dict | set) for value in values):
        raise ValueError(f'expected a list of classes such as ["a", "b"], found {_cut(text)}; mend the cell')
    return [str(value) for value in values if value is not None] or (None if values else [])


def _literal(text: str) -> object:
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unknown escapes such as \d: data, not code of ours
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def not_text(cells: Mapping[str, Cell]) -> bool:
    """Tell whether a cell has no UTF-8 form: JSON can spell half of a surrogate pair."""
    try:
        for cell in cells.values():
            "".join(cell or ()).encode()
    except UnicodeEncodeError:
        return True
    return False


def number_of(cell: Cell, thousands: str | None, decimal: str | None = None) -> float | None:
    """Return the number in a cell, None where it is blank.

    Parameters
    ----------
    cell : Cell
        As it stands in the table.
    thousands : str or None
        What groups its digits.
    decimal : {".", ","} or None
        Its decimal sign; by default a point, or where points group the digits a comma.

    Raises
    ------
    ValueError
        Where it is not a finite number.
    """
    text = plain(cell)
    if text is None:
        return None
    point = decimal or ("," if thousands == "." else ".")
    digits = _ungrouped(text.strip(), thousands, point)
    if not _NUMBER.fullmatch(digits):
        raise ValueError(f"expected a number, found {_cut(text)}{_remedy(text, thousands, point)}")
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {_cut(text)}")
    return value


def _ungrouped(text: str, thousands: str | None, point: str) -> str:
    """Return the number as Python writes it; what is no such number is left as it is, or made none."""
    if thousands is not None:
        group, sign = re.escape(thousands), re.escape(point)
        if re.fullmatch(rf"[+-]?(\d{{1,3}}({group}\d{{3}})+|\d+)({sign}\d*)?", text, re.ASCII):
            return text.replace(thousands, "").replace(point, ".")
    # 1.5 would be read as it is not meant
    return text if point == "." else text.replace(".", "?").replace(",", ".")


def _remedy(text: str, thousands: str | None, point: str) -> str:
    found = text.strip()
    if found.casefold() in MISSING_WORDS:
        return "; if that means that there is none, list it in prepare.table.blank"
    if point == "," and re.fullmatch(r"[+-]?\d+\.\d*", found, re.ASCII):
        return "; its decimal sign should be a comma: mend prepare.table.decimal or prepare.table.thousands"
    told = []
    groups = re.fullmatch(r"[+-]?\d{1,3}([,. '_])\d{3}.*", found, re.ASCII | re.DOTALL)
    if thousands is None and groups:
        told.append(f"if {groups[1]!r} groups its digits, set prepare.table.thousands to that")
    if point == "." and thousands != "," and re.fullmatch(r"[+-]?[\d ]*,\d*([eE][+-]?\d+)?", found, re.ASCII):
        told.append("if ',' is its decimal sign, set prepare.table.decimal to that")
    return "".join(f"; {each}" for each in told)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
