"""The names that a Parquet file of Hugging Face `datasets` gives the numbers of its classes; `table` puts them in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stages.prepare.sources.table_cells import folded, whole_number
from stages.prepare.sources.table_row import Cell, TableRow
from stages.prepare.table_params import TableParams

_METADATA = b"huggingface"
_UNKNOWN = "-1"
"""What `datasets` writes for a class that is not told."""


def names_of_column(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """Return the names of a column that is a ClassLabel, or a list of them, in the order of its numbers; () else.

    Parameters
    ----------
    metadata : mapping of bytes to bytes or None
        Of the schema of the file.
    column : str
        The column.
    """
    try:
        feature = json.loads((metadata or {})[_METADATA])["info"]["features"][column]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    names = _class_label(feature)
    written = isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)
    return tuple(names) if written and len({name.strip() for name in names}) == len(names) else ()


def _class_label(feature: Any) -> Any:
    """Return the names of a feature, which may stand in a list in one of three spellings."""
    if isinstance(feature, list):
        return _class_label(feature[0]) if len(feature) == 1 else None
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        return feature.get("names")
    return _class_label(feature["feature"]) if "feature" in feature else None


class ClassNames:
    """Puts names in place of the numbers of one column.

    Parameters
    ----------
    table : TableParams
        Where it declares classes of which none is a name, the numbers stay.
    names : sequence of str
        By number; none leaves every row as it is.
    """

    def __init__(self, table: TableParams, names: Sequence[str]) -> None:
        self._column = table.label or table.labels or ""
        self._several = table.labels is not None
        used = names if table.classes is None or not set(table.classes).isdisjoint(names) else ()
        self._names = {str(number): name for number, name in enumerate(used)}
        self.places = {folded(name) if table.fold else name.strip(): at for at, name in self._names.items()}
        """The number of each class, as text: by it classes are sorted, as they were when the numbers were the names."""

    def applied(self, row: TableRow) -> TableRow:
        """Name the classes of a row; a number without a name is its fault."""
        cell = row.cells.get(self._column)
        if not self._names or cell is None or row.fault:
            return row
        written = (each.strip() for each in ([cell] if isinstance(cell, str) else cell))
        numbers = [whole_number(each) or each for each in written if each]
        numbers = [each for each in numbers if each != _UNKNOWN]
        strange = next((each for each in numbers if each not in self._names), None)
        if strange is not None:
            known = f"a number of the {len(self._names)} classes that the schema names"
            return row._replace(fault=f"expected {known} in column {self._column!r}, found {strange!r}; mend the cell")
        named = [self._names[each] for each in numbers]
        return row._replace(cells={**row.cells, self._column: self._cell(cell, named)})

    def told(self) -> str:
        """Return a note on where the names come from, "" without names."""
        if not self._names:
            return ""
        return (
            f"the {len(self._names)} names of the classes are those of the file's schema (ClassLabel of column "
            f"{self._column!r}); declare the numbers in prepare.table.classes to keep them"
        )

    def _cell(self, cell: Cell, named: list[str]) -> Cell:
        if self._several:
            return named if named or cell == [] else None
        return named[0] if named else None
