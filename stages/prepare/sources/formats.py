"""Reads the rows of a CSV, JSONL or Parquet file as a stream, each with its line; `table` makes items of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.errors import InputError
from stages.prepare.sources.class_labels import names_of_column
from stages.prepare.sources.csv_table import CsvFile
from stages.prepare.sources.lines import decoded_lines
from stages.prepare.sources.table_row import Cell, TableFile, TableRow
from stages.prepare.table_params import Quoting

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
