"""Every table is readable at 80 columns: no word is broken, no cell is cut, whatever does not fit stands below."""

from __future__ import annotations

import ast
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pipeline.experiments.grid import Trial
from pipeline.experiments.sweep import Outcome
from pipeline.experiments.sweep import print_table as print_sweep
from pipeline.forecast.embed_plan import EmbedPlan
from pipeline.forecast.plan import Plan, print_plan
from pipeline.journal.console import PlainTable, folded, out
from pipeline.journal.status import EntryState, Status, print_status
from pipeline.params.catalog import entry, print_entry, print_rows, rows
from tests.pipeline.project import ROOT

WIDTHS = [80, 100]


def words(*texts: object) -> set[str]:
    return {word for text in texts for word in str(text).split()}


def readable(said: str, width: int, *texts: object) -> None:
    """Hold what was printed against the texts that must be in it, word for word."""
    assert "…" not in said
    assert words(*texts) <= words(said)
    for line in said.splitlines():
        assert cell_len(line) <= width or len(line.split()) == 1, line


def shown(table: PlainTable, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, soft_wrap=True)
    console.print(table)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The width of the terminal."""
    found: int = request.param
    monkeypatch.setattr(out, "width", found)
    return found


CELL = st.text("abc [/]漢-", max_size=40).map(str.strip)


@given(st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=4), st.integers(20, 120))
def test_at_any_width_each_cell_is_there_in_whole_words(cells: list[tuple[str, ...]], width: int) -> None:
    table = PlainTable("name", "what it is", numbers=("score", "95 % interval"))
    for row in cells:
        table.add_row(*row)
    said = shown(table, width)
    assert "…" not in said
    at = -1
    for row in cells:
        for word in row[0].split():  # rows and their first cells in order
            at = said.index(word, at + 1)
    assert words(*(each for row in cells for each in row)) <= words(said.replace("score:", " ").replace("it is:", " "))
    longest = max((cell_len(word) for row in cells for cell in row for word in cell.split()), default=0)
    assert all(cell_len(line) <= max(width, longest + 5) for line in said.splitlines())


def test_with_room_a_row_is_a_line_and_without_it_the_widest_column_stands_below() -> None:
    table = PlainTable("name", "model", "kind", numbers=("dim",))
    table.add_row("minilm", "package:a/model", "text", "384")
    table.add_row("hash", "", "text", "64")
    wide = f"\n name    model            kind  dim\n {'─' * 34}\n minilm  package:a/model  text  384\n"
    assert shown(table, 40) == f"{wide} hash                     text   64\n\n"
    narrow = f"\n name    kind  dim\n {'─' * 17}\n minilm  text  384\n   model: package:a/model\n"
    assert shown(table, 30) == f"{narrow} hash    text   64\n\n"


def test_numbers_stay_on_one_line_and_sections_apart() -> None:
    table = PlainTable("name", numbers=("95 % interval",))
    table.add_row("a name of words", ".665 to .705")
    table.add_section()
    table.add_row("all", "")
    assert shown(table, 26).splitlines()[-5:] == [" a name of    .665 to .705", " words", "", " all", ""]
    with pytest.raises(ValueError, match="expected 2 cells"):
        table.add_row("one")


def test_a_word_wider_than_the_room_stays_whole() -> None:
    assert folded(Console(width=10), "see package:a/long/path now", 10) == ["see", "package:a/long/path", "now"]


@pytest.mark.parametrize("kind", ["encoders", "fitters", "fusions", "heads", "sources", "recipes"])
def test_catalogues(kind: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    found = rows(kind)
    print_rows(kind, found)
    said = capsys.readouterr().out
    texts = [value for row in found for name, value in row.items() if name != "options" and isinstance(value, str)]
    readable(said, width, *texts)
    assert ("NAME` tells the options of one" in said) == ("options" in found[0])
    described = entry(kind, found[0]["name"])
    print_entry(described)
    readable(capsys.readouterr().out, width, *(option["meaning"] for option in described.get("options", [])))


def test_the_plan(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    row = EmbedPlan("caption-of-the-second-kind", "minilm", "stale", "f", 1_234_567, 1_234_567, 0, 9, 4_000_000, None)
    print_plan(Plan(prepared=True, encoders=[row, row], changed=[], stages=[]))
    table = capsys.readouterr().out.partition(f"\n{row.name}:")[0]
    readable(table, width, row.name, "stale", row.cached, "4.0 MB", "no rate yet")


def test_the_status(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"f1_macro": 0.123456, "rows": 9}
    ran = {"ts": "2031-05-06T07:08:09", "event": "finished", "seconds": 1234.5, "counts": counts}
    missing = ["data/embed/caption-minilm.zarr.zip", "metrics/embed/caption-minilm.json"]
    entries = [EntryState("embed", "caption-minilm", ran, missing, 3), EntryState("train", "text", None, [], 0)]
    print_status(Status("here", None, entries, {}, []))
    table = capsys.readouterr().out.partition("1 entries lack")[0]
    readable(table, width, "embed caption-minilm 2031-05-06 07:08:09 1234.5 s f1_macro 0.123456,", ", ".join(missing))


def test_a_sweep(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        "features": ["caption-minilm", "image-lite0"], "fusion": "attention", "head": "native",
        "hidden": ["a", "b"], "modality_dropout": 0.25,
    }  # fmt: skip
    metrics = {"f1_macro": 0.5, "f1_macro_low": 0.4, "f1_macro_high": 0.6, "f1_macro_std": 0.01}
    print_sweep([Outcome(Trial(content, None), "k", metrics)])
    said = capsys.readouterr().out
    readable(said, width, "caption-minilm + image-lite0", "attention native", "modality_dropout=0.25", "0.400 to 0.600")
    assert "['a', 'b']" in said  # brackets are no markup


def test_there_is_one_mechanism() -> None:
    users = [
        path.name
        for path in (ROOT / "pipeline").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in {"rich.table", "rich.columns", "rich.panel"}
    ]
    assert not users, "tables are made by pipeline.journal.console, which never cuts a cell"
