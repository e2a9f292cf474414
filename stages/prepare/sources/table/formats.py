"""Reads CSV, JSONL and Parquet files as streams of rows, each with its line; `source` makes items of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.prepare.sources.table.cells import Cell, TableFile, TableRow, folded, whole_number
from stages.prepare.sources.table.csv_file import CsvFile
from stages.prepare.sources.table.params import Quoting, TableParams
from stages.prepare.sources.text_files import decoded_lines
from store.errors import InputError

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


ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")


def open_table(path: Path, encoding: str, delimiter: str | None = None, quoting: Quoting = "checked") -> TableFile:
    """Choose the reader by the ending of the name; a CSV has commas and a .tsv tabs unless told otherwise.

    Raises
    ------
    InputError
        When the ending is none of .csv, .tsv, .jsonl (each also with .gz) and .parquet.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".csv", ".tsv")):
        return CsvFile(path, encoding, delimiter, quoting, "\t" if name.endswith(".tsv") else ",")
    if name.endswith((".jsonl", ".ndjson")):
        return JsonLinesFile(path, encoding)
    if name.endswith(".parquet") and name == path.name.lower():
        return ParquetTable(path)
    raise InputError(f"expected a table ending in {', '.join(ENDINGS)}, found {path}; convert it, or mend prepare.path")


class JsonLinesFile:
    """One JSON object per line; numbers keep the exact digits of the file, so that the ids 1 and 01 differ."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._encoding = encoding

    def columns(self) -> None:
        """Return None: each row names its own columns."""
        return

    def class_names(self, column: str) -> tuple[str, ...]:  # noqa: ARG002 (the shape of every table)
        """Return nothing: JSON names what it means."""
        return ()

    def rows(self, wanted: frozenset[str]) -> Iterator[TableRow]:
        """Yield the objects; empty lines are no rows."""
        for line, text in enumerate(decoded_lines(self._path, self._encoding), start=1):
            if text.strip():
                yield _json_row(line, text, wanted)


def _json_row(line: int, text: str, wanted: frozenset[str]) -> TableRow:
    try:
        row = json.loads(
            text, parse_int=str, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=_distinct
        )
    except (ValueError, RecursionError) as error:
        return TableRow(line, {}, f"expected a JSON object, found this: {error}; mend the line")
    if not isinstance(row, dict):
        return TableRow(line, {}, f"expected a JSON object, found a {type(row).__name__}; mend the line")
    typed = _typed_row(line, {name: value for name, value in row.items() if name in wanted})
    return typed._replace(others=tuple(name for name in row if name not in wanted))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; a name that stands there twice would lose the first value."""
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the name {twice!r} twice in one object")
    return row


class ParquetTable:
    """A Parquet file, of which only the wanted columns are read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def columns(self) -> tuple[str, ...]:
        """Return the names of the top-level columns."""
        with self._open() as file:
            names = tuple(file.schema_arrow.names)
        twice = next((name for name, times in Counter(names).items() if times > 1), None)
        if twice is not None:
            raise InputError(
                f"{self._path.name}: expected columns with distinct names, found {twice!r} twice; rename one"
            )
        return names

    def class_names(self, column: str) -> tuple[str, ...]:
        """Return the names of a ClassLabel of Hugging Face `datasets`."""
        with self._open() as file:
            return names_of_column(file.schema_arrow.metadata, column)

    def rows(self, wanted: frozenset[str]) -> Iterator[TableRow]:
        """Yield the rows, a batch in memory at a time."""
        line = 0
        with self._open() as file:
            present = [name for name in file.schema_arrow.names if name in wanted]
            for batch in self._batches(file, present):
                for row in self._values(batch.select(present), line):
                    line += 1
                    yield _typed_row(line, row)

    def _batches(self, file: Any, columns: list[str]) -> Iterator[Any]:
        try:
            yield from file.iter_batches(batch_size=4096, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"expected a sound Parquet file at {self._path}, found {error}; export it again"
            ) from error

    def _values(self, batch: Any, before: int) -> list[dict[str, Any]]:
        """Return the rows of a batch as Python values; those that Python has no value for stop the run."""
        try:
            rows: list[dict[str, Any]] = batch.to_pylist()
        except (UnicodeDecodeError, OverflowError, ValueError) as error:
            raise InputError(
                f"{self._path.name}:{before + 1}: expected cells that are texts or numbers, found one in the "
                f"{batch.num_rows} rows from here on that is not ({error}); export it again"
            ) from error
        return rows

    def _open(self) -> Any:
        try:
            return pq.ParquetFile(self._path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"expected a Parquet file, found another at {self._path} ({error}); export it again"
            ) from error


def _typed_row(line: int, values: Mapping[str, Any]) -> TableRow:
    try:
        return TableRow(line, {name: _cell(name, value) for name, value in values.items()})
    except TypeError as error:
        return TableRow(line, {}, str(error))


def _cell(name: str, value: Any) -> Cell:
    """Bring a typed value to the text that a CSV would hold; a list stays a list of texts."""
    if isinstance(value, list):
        if any(isinstance(part, list | tuple) for part in value):
            raise TypeError(f"expected one list in column {name!r}, found lists within it; convert the column")
        texts = [text for text in (_cell(name, part) for part in value) if isinstance(text, str)]
        return None if value and not texts else texts  # only a list of nothing says that there is nothing
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (dict, bytes)):
        kind = "an object" if isinstance(value, dict) else "bytes"
        raise TypeError(f"expected text, a number or a list in column {name!r}, found {kind}; convert the column")
    return str(value)
