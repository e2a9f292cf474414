"""Random tables, written by three libraries: `prepare` gives back every cell, or names the row that it refuses."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import InputError
from store.items.manifest import Manifest
from tests.stages.prepare.desk import Desk

QUIET = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
COLUMNS = {"id": "id", "text": "t", "labels": "k", "sep": "[]"}
CLASSES = ("x", "y", 'a "b"', "c, d; e|f", "[g]")
MARKS = st.sampled_from([",", ";", "\t", "|"])

signs = st.sampled_from(list('"",;|\t\n\r\n [](){}\'=ab1.é\u2028\0')) | st.characters(exclude_categories=["Cs"])
texts = st.none() | st.text(signs, max_size=12)
labels = st.none() | st.lists(st.sampled_from(CLASSES), max_size=3)
cells = st.tuples(texts, labels)
tables = st.lists(cells, max_size=8).map(lambda rows: [("a first text", ["x"]), *rows])
"""Rows of text and labels; the first can always be read, so that there is an item and a class."""

Rows = list[tuple[str | None, list[str] | None]]


@dataclass(frozen=True)
class Written:
    """A table file, and how `prepare` is told of it."""

    name: str
    content: bytes
    options: dict[str, Any]


def listed(classes: list[str] | None) -> str | None:
    return None if classes is None else json.dumps(classes)


def assert_given_back(desk: Desk, rows: Rows, written: Written) -> None:
    """Compare every row with its item; one that is none must stand in the rejects, or its place in the message."""
    path = desk.put(written.name, written.content)
    given = prepared_or_told(desk, path, {**COLUMNS, **written.options})
    if isinstance(given, str):
        assert f"{written.name}:" in given
        assert "lone CR" in given or ("expected one row" in given and "quoting" not in written.options)
        return
    manifest, rejected = given
    found = dict(zip(manifest.ids(), zip(*_columns(manifest), strict=True), strict=True))
    for number, (text, classes) in enumerate(rows):
        said = text if text is not None and text.strip() else None
        if said is None:
            rejected.remove(f"r{number}")
        else:
            assert found.pop(f"r{number}") == (said, None if classes is None else tuple(dict.fromkeys(classes)))
    assert not found
    assert not rejected


def prepared_or_told(desk: Desk, path: Path, columns: dict[str, Any]) -> tuple[Manifest, list[str]] | str:
    """Return the manifest and the ids of the rejected rows, or the message that names what is wrong."""
    try:
        manifest, summary = desk.prepare(path, columns, max_reject_share=1)
    except InputError as error:
        return str(error)
    with (desk.out / "rejects.csv").open(newline="", encoding="utf-8") as file:
        rejected = [row["id"] for row in csv.DictReader(file)]
    assert summary.rejected == ({"no-content": len(rejected)} if rejected else {})
    return manifest, rejected


def _columns(manifest: Manifest) -> tuple[list[str | None], list[tuple[str, ...] | None]]:
    return manifest.texts("caption"), manifest.labels(np.arange(len(manifest)))


@dataclass(frozen=True)
class Dialect:
    """How the csv module is asked to write, and what else stands in the file."""

    mark: str
    quoting: Any
    end: str
    bom: bool
    declared: bool
    last: str

    def content(self, rows: Rows) -> bytes:
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, delimiter=self.mark, quoting=self.quoting, lineterminator=self.end)
        writer.writerow(["id", "t", "k"])
        writer.writerows((f"r{number}", text, listed(classes)) for number, (text, classes) in enumerate(rows))
        first = f"sep={self.mark}{self.end}" if self.declared else ""
        return f"{first}{buffer.getvalue()}{self.last}".encode("utf-8-sig" if self.bom else "utf-8")


DIALECTS = st.builds(
    Dialect,
    mark=MARKS,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    declared=st.booleans(),
    last=st.sampled_from(["", "\n", "   ", " \n\n"]),
)


@QUIET
@given(rows=tables, dialect=DIALECTS, checked=st.booleans())
def test_tables_of_the_csv_module(desk: Desk, rows: Rows, dialect: Dialect, checked: bool) -> None:
    options = {} if dialect.declared else {"delimiter": dialect.mark}
    options |= {} if checked else {"quoting": "standard"}
    assert_given_back(desk, rows, Written("posts.csv", dialect.content(rows), options))


@QUIET
@given(rows=tables, mark=MARKS, style=st.sampled_from(["needed", "all_valid"]))
def test_tables_of_arrow_as_csv(desk: Desk, rows: Rows, mark: str, style: str) -> None:
    table = pa.table(
        {
            "id": [f"r{number}" for number in range(len(rows))],
            "t": pa.array([text for text, _ in rows], pa.string()),
            "k": pa.array([listed(classes) for _, classes in rows], pa.string()),
        }
    )
    buffer = io.BytesIO()
    pc.write_csv(table, buffer, pc.WriteOptions(delimiter=mark, quoting_style=style))
    options = {"delimiter": mark, "quoting": "standard"}
    assert_given_back(desk, rows, Written("posts.csv", buffer.getvalue(), options))


@QUIET
@given(rows=tables)
def test_tables_of_arrow_as_parquet(desk: Desk, rows: Rows) -> None:
    table = pa.table(
        {
            "id": [f"r{number}" for number in range(len(rows))],
            "t": pa.array([text for text, _ in rows], pa.string()),
            "k": pa.array([classes for _, classes in rows], pa.list_(pa.string())),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    assert_given_back(desk, rows, Written("posts.parquet", buffer.getvalue(), {}))


@QUIET
@given(rows=tables, mark=MARKS, end=st.sampled_from(["\n", "\r\n"]))
def test_tables_of_pandas(desk: Desk, rows: Rows, mark: str, end: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        [(f"r{number}", text, listed(classes)) for number, (text, classes) in enumerate(rows)],
        columns=["id", "t", "k"],
    )
    content = frame.to_csv(index=False, sep=mark, lineterminator=end).encode()
    assert_given_back(desk, rows, Written("posts.csv", content, {"delimiter": mark, "quoting": "standard"}))


words = st.text(st.sampled_from(list('""ab \'.1')), min_size=1, max_size=6)


@QUIET
@given(
    rows=st.lists(st.tuples(words, st.sampled_from(["x", "y", ""])), max_size=8), end=st.sampled_from(["\n", "\r\n"])
)
def test_tables_without_quoting_swallow_no_row(desk: Desk, rows: list[tuple[str, str]], end: str) -> None:
    rows = [("a first text", "x"), *rows, ("a last text", "y")]
    lines = [f"r{number},{text},{label}" for number, (text, label) in enumerate(rows)]
    path = desk.put("posts.csv", "".join(f"{line}{end}" for line in ["id,t,k", *lines]))
    columns = {"id": "id", "text": "t", "label": "k"}
    kept = [(f"r{number}", text) for number, (text, _) in enumerate(rows) if text.strip()]
    manifest, _ = desk.prepare(path, {**columns, "quoting": "none"}, max_reject_share=1)
    assert list(zip(manifest.ids(), manifest.texts("caption"), strict=True)) == kept
    given = prepared_or_told(desk, path, columns)
    if isinstance(given, str):
        assert "posts.csv:" in given
        return
    missed = {identity for identity, _ in kept} - {*given[0].ids(), *given[1]}
    summary = json.loads((desk.out / "summary.json").read_text("utf-8"))
    assert not missed or any("has a stray quote swallowed rows" in note for note in summary["notes"])
