"""Reads the CSV files of the later sections into texts and numbers, or says which stage has to write them again."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.report.read.experiments import read_rows
from store.errors import InputError


@dataclass(frozen=True)
class Row:
    """One line: the columns that were asked for as text, and those that were asked for as numbers."""

    texts: Mapping[str, str]
    numbers: Mapping[str, float]

    def count(self, column: str) -> int:
        """Return a number that counts something."""
        return int(self.numbers[column])


def read_table(
    path: Path, texts: Sequence[str], numbers: Sequence[str], *, blank: Sequence[str] = (), verb: str = "evaluate"
) -> list[Row]:
    """Read a table; one that is not there has no rows.

    Parameters
    ----------
    path : Path
    texts, numbers : sequence of str
        The columns that must be there; the numbers must be finite.
    blank : sequence of str
        Columns of numbers that may be blank or NaN, or may be lacking altogether: NaN then.
    verb : str
        Who writes it, for the message.

    Raises
    ------
    InputError
        When it is another table, or a number is none.
    """
    remedy = f"run `diptych {verb}` again"
    try:
        rows = read_rows(path, *texts, *numbers)
        return [
            Row(
                {name: _text(row[name]) for name in texts},
                {name: _finite(row[name]) for name in numbers} | {name: _maybe(row.get(name)) for name in blank},
            )
            for row in rows
        ]
    except InputError as error:
        raise InputError(f"{error}: {remedy}") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"expected numbers and texts in {path}, found something else ({error}); {remedy}") from error


def _text(cell: str | None) -> str:
    if cell is None:
        raise ValueError("a line that ends too early")
    return cell


def _finite(cell: str | None) -> float:
    value = float(_text(cell))
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} where a number belongs")
    return value


def _maybe(cell: str | None) -> float:
    if cell is None or not cell.strip() or cell.strip().lower() == "nan":
        return math.nan
    return _finite(cell)
