"""Tables made to spoil a run: bytes, structures and paths that nobody means; a message or a reject, never a crash."""

from __future__ import annotations

import gzip
import io
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.sections import CocoParams
from stages.prepare.sources import catalog
from stages.prepare.sources.protocol import Folders, SourceRow
from stages.prepare.sources.text_files import MAX_CELL
from store.errors import InputError
from store.items.records import Item, ManifestInfo
from tests.stages.prepare.desk import Desk

COLUMNS = {"id": "id", "text": "t", "label": "k"}
GOOD = "id,t,k\na,one,x\n"


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def refused(desk: Desk, path: Path, columns: dict[str, Any] | None = None, **params: Any) -> str:
    with pytest.raises(InputError) as caught:
        desk.prepare(path, COLUMNS if columns is None else columns, **params)
    desk.assert_nothing_written()
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
@pytest.mark.parametrize("declared", ["utf-8", "latin-1"])
def test_wide_text_that_is_not_declared_is_recognised(desk: Desk, encoding: str, declared: str) -> None:
    message = refused(desk, desk.put("posts.csv", GOOD.encode(encoding)), {**COLUMNS, "encoding": declared})
    assert f"posts.csv:1: expected one byte per plain letter, found text that looks like {encoding}:" in message
    desk.prepare(columns={**COLUMNS, "encoding": encoding})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (GOOD + 'b,"two,y\nc,three,x\n', ["posts.csv:3", "unclosed quote"]),
        (GOOD + 'b,"two,y\nc,"three",x\n', ["posts.csv:3", "unclosed quote"]),
        (GOOD + 'b,"two,y\nc,three,"x"\n', ["posts.csv:3", "unclosed quote"]),
        (GOOD.replace("\n", "\r"), ["posts.csv:1", "a lone CR"]),
        ("id,t\0,k\na,one,x\n", ["posts.csv:1", "did you mean 't\\x00'", "prepare.table.text"]),
        (GOOD + "b,two,x\0\n", ["posts.csv:3", "'x\\x00' beside 'x' of posts.csv:2"]),
        ("PK\3\4" + "\1" * 99, ["posts.csv:1", "expected the column 'id'", "\\x01"]),
    ],
)
def test_a_table_that_is_broken(desk: Desk, content: str, told: list[str]) -> None:
    message = refused(desk, desk.put("posts.csv", content))
    for part in told:
        assert part in message
    assert "\0" not in message


@pytest.mark.slow
def test_lines_and_cells_without_end_cost_bounded_memory(desk: Desk) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bomb = gzip.compress(GOOD.encode() + b"b," + b"x" * (6 * MAX_CELL), compresslevel=1)
    assert "posts.csv.gz:3: expected lines" in refused(desk, desk.put("posts.csv.gz", bomb))
    lines = b"".join([b"y" * (MAX_CELL // 4 - 1) + b"\n"] * 6)
    bomb = gzip.compress(GOOD.encode() + b'b,"' + lines, compresslevel=1)
    assert "posts.csv.gz:3: expected cells of at most 67,108,864" in refused(desk, desk.put("posts.csv.gz", bomb))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 900 * 1024


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "a", "id": "b", "t": "one", "k": "x"}', "the name 'id' twice in one object"),
        ('{"id": "a", "t": "one", "k": [["x", "y"]]}', "lists within it"),
        ('{"id": "a", "captoin": "one", "k": ["x"]}', "did you mean 'captoin'?"),
    ],
)
def test_json_that_would_lose_something(desk: Desk, line: str, told: str) -> None:
    columns = {"id": "id", "text": "caption" if "captoin" in line else "t", "labels": "k"}
    message = refused(desk, desk.put("posts.jsonl", line), columns)
    assert message.startswith("posts.jsonl:1: ")
    assert told in message


_NOT_UTF8 = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ([("id", ["a"]), ("t", _NOT_UTF8), ("k", ["x"])], "posts.parquet:1: expected cells that are texts"),
        (
            [("id", ["a"]), ("t", pa.array([2**62], pa.timestamp("ms"))), ("k", ["x"])],
            "posts.parquet:1: expected cells",
        ),
        ([("id", ["a"]), ("id", ["b"]), ("t", ["one"]), ("k", ["x"])], "found 'id' twice"),
        ([("id", ["a"]), ("t", [b"\0"]), ("k", ["x"])], "found bytes"),
        ([("id", ["a"]), ("t", [{"a": 1}]), ("k", ["x"])], "found an object"),
    ],
)
def test_parquet_cells_that_are_neither_texts_nor_numbers(desk: Desk, columns: list[Any], told: str) -> None:
    table = pa.Table.from_arrays([pa.array(values) for _, values in columns], names=[name for name, _ in columns])
    assert told in refused(desk, desk.put("posts.parquet", parquet(table)))


def test_half_of_a_surrogate_pair_anywhere_costs_its_row_alone(desk: Desk) -> None:
    bad = [f'{{"id": "{n}", "t": "t", "k": "x", "g": "g", "m": "m"}}' for n in range(5)]
    for n, name in enumerate(("id", "t", "k", "g", "m")):
        value = str(n) if name == "id" else {"k": "x"}.get(name, name)
        bad[n] = bad[n].replace(f'"{name}": "{value}"', f'"{name}": "\\ud800"')
    desk.put("posts.jsonl", "\n".join([*bad, '{"id": "ok", "t": "t", "k": "x", "g": "g", "m": "m"}']))
    manifest, summary = desk.prepare(columns={**COLUMNS, "group": "g", "meta": ["m"]}, max_reject_share=1)
    assert manifest.ids() == ["ok"]
    assert manifest.info.classes == ("x",)
    assert summary.rejected == {"bad-text": 5}


def test_a_terminal_obeys_no_cell(desk: Desk) -> None:
    desk.put(
        "posts.jsonl", '{"id": "\\u001b[2J\\ud800", "t": "", "k": "x"}\n{"id": "b", "t": "", "k": "\\u001b]0;x"}\n'
    )
    message = refused(desk, desk.data / "posts.jsonl")
    assert "\\x1b[2J" in message
    assert all(sign.isprintable() or sign == "\n" for sign in message)


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "~/.ssh/id_rsa",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "a\0.png",
        "..\\..\\secret.png",
        "\\\\server\\share\\x.png",
        "C:\\secret.png",
        "out.png",
        "folder/secret.png",
    ],
)
@pytest.mark.parametrize("absent", ["reject", "blank"])
def test_a_path_that_leads_out_of_the_data_is_rejected(desk: Desk, path: str, absent: str) -> None:
    secret = desk.data.parent / "secret.png"
    secret.write_bytes((desk.data / "1.png").read_bytes())
    (desk.data / "out.png").symlink_to(secret)
    (desk.data / "folder").symlink_to(desk.data.parent)
    desk.put("posts.csv", f'id,image,t,k\na,"{path}",one,x\nb,1.png,two,x\n')
    columns = {**COLUMNS, "image": "image", "absent": absent}
    manifest, summary = desk.prepare(columns=columns, max_reject_share=0.5)
    assert manifest.ids() == ["b"]
    assert summary.rejected == {"unsafe-path": 1}
    assert "posts.csv:2,unsafe-path" in (desk.out / "rejects.csv").read_text()


def test_cells_that_look_like_commands_and_formulas_stay_cells(desk: Desk) -> None:
    nasty = ["=cmd()", "+1", "-1", "@x", "${HOME}", "$(id)", "`id`", "; rm -rf /", "--help", "{{ 7*7 }}", "%s{0}"]
    lines = "".join(f'"{text}","{text}","{text}"\n' for text in nasty)
    desk.put("posts.csv", "id,t,k\n" + lines)
    manifest, _ = desk.prepare(columns=COLUMNS)
    assert manifest.ids() == manifest.texts("caption") == nasty
    assert set(manifest.info.classes) == set(nasty)


def test_one_row_is_a_data_set(desk: Desk) -> None:
    manifest, summary = desk.prepare(desk.put("posts.csv", GOOD), COLUMNS)
    assert (len(manifest), summary.labels) == (1, {"x": 1})


class Careless:
    """A source that vets nothing."""

    def __init__(self, params: PrepareParams, folders: Folders) -> None:
        self.images, self.expected, self.notes, self.files = folders.workspace, None, (), ()
        self._limit = params.limit
        self.info = ManifestInfo("careless", str(params.path), "multilabel", ("x",), fields=("caption",))

    def items(self) -> Iterator[Item]:
        for number, identity in enumerate(("a", "\ud800", "b", "a")[: self._limit]):
            yield Item(identity, None, {"caption": "one"}, ("x",), None, identity, where=f"careless:{number}")


def test_whatever_the_source_ids_are_distinct_and_texts_are_text(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "SOURCES", (SourceRow("coco", "", "", Careless, CocoParams),))
    params = PrepareParams(source="coco", path=str(tmp_path), max_reject_share=1)
    with pytest.raises(
        InputError, match="careless:3: expected distinct ids, found the id 'a' of an earlier item again"
    ):
        run(params, PrepareOutputs(desk.out), SilentProgress())
    summary = run(params.model_copy(update={"limit": 3}), PrepareOutputs(desk.out), SilentProgress())
    assert summary.rejected == {"bad-text": 1}


def test_a_table_that_is_no_file(desk: Desk) -> None:
    os.mkfifo(desk.data / "posts.csv")
    assert "found none" in refused(desk, desk.data)
    assert "found nothing" in refused(desk, desk.data / "posts.csv")
