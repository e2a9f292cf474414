"""Missing inputs by origin: counted like the table of the published set, bounded, and told at the command line."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from rich.console import Console

from pipeline.journal import notices
from stages.prepare.summary import MissingTally
from store.items.records import Item, ManifestInfo
from tests.stages.prepare.desk import Desk

COLUMNS = {
    "id": "id", "image": "image", "texts": {"title": "t", "description": "d"}, "label": "k", "meta": ["source"],
}  # fmt: skip
POSTS = """id,image,t,d,k,source
a,0.png,one,long one,x,google
b,1.png,two,,x,google
c,2.png,,,y,flickr
d,,four,,y,flickr
e,3.png,five,five long,x,flickr
f,4.png,six,six long,x,
"""


def tally(*sources: str | None, meta: tuple[str, ...] = ("source",)) -> MissingTally:
    counted = MissingTally(ManifestInfo("table", ".", "multiclass", ("x",), {}, ("title",), meta))
    for number, source in enumerate(sources):
        text = {"title": None if number % 2 else "a title"}
        counted.keep(Item(str(number), None, text, ("x",), None, "g", meta={"source": source}), pictured=True)
    return counted


def test_each_origin_has_its_rates_and_all_have_theirs(desk: Desk) -> None:
    _, summary = desk.prepare(desk.put("posts.csv", POSTS), columns=COLUMNS)
    assert [(row.source, row.rows, row.missing) for row in summary.missing_by] == [
        ("google", 2, {"image": 0, "title": 0, "description": 1}),
        ("flickr", 3, {"image": 1, "title": 1, "description": 2}),
        ("(none)", 1, {"image": 0, "title": 0, "description": 0}),
        ("all", 6, {"image": 1, "title": 1, "description": 3}),
    ]
    assert summary.missing_by[1].share == {"image": 0.333333, "title": 0.333333, "description": 0.666667}
    assert summary.missing_by[-1].missing == summary.missing
    written = json.loads((desk.out / "summary.json").read_text())["missing_by"]
    assert written == [asdict(row) for row in summary.missing_by]


def test_without_a_column_of_origins_there_is_the_line_of_all_alone(desk: Desk) -> None:
    _, summary = desk.prepare(desk.put("posts.csv", POSTS), columns={**COLUMNS, "meta": []})
    assert [row.source for row in summary.missing_by] == ["all"]
    assert summary.missing_by[0].share["description"] == 0.5


def test_only_twenty_origins_are_told_apart() -> None:
    rows = tally(*(f"s{number}" for number in range(50)), "s3").rows()
    assert [row.source for row in rows] == [*(f"s{number}" for number in range(20)), "others", "all"]
    assert [row.rows for row in rows if row.source in ("s3", "others", "all")] == [2, 30, 51]
    assert rows[-2].missing == {"image": 0, "title": 15}


def test_the_shares_of_the_published_table() -> None:
    """Flickr lacks 34.3 % of its descriptions and 1.1 % of its titles; here in thousandths."""
    counted = MissingTally(
        ManifestInfo("webvision", ".", "multiclass", ("x",), {}, ("title", "description"), ("source",))
    )
    for number in range(1000):
        texts = {"title": "t" if number % 1000 >= 11 else None, "description": "d" if number >= 343 else None}
        counted.keep(Item(str(number), "p", texts, ("x",), None, "g", meta={"source": "flickr"}), pictured=True)
    assert counted.rows()[0].share == {"image": 0.0, "title": 0.011, "description": 0.343}


def test_nothing_kept_divides_by_nothing() -> None:
    assert tally().rows()[0].share == {"image": 0.0, "title": 0.0}


def test_the_table_is_printed_where_some_lack_what_others_have(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notices, "out", Console(width=100, highlight=False))
    _, summary = desk.prepare(desk.put("posts.csv", POSTS.replace("google", "[red]")), columns=COLUMNS)
    notices.print_summary(summary)
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["[red]", "2", "0", "(0.0%)", "0", "(0.0%)", "1", "(50.0%)"] in told
    assert ["all", "6", "1", "(16.7%)", "1", "(16.7%)", "3", "(50.0%)"] in told
    only_texts = {"id": "id", "text": "t", "label": "k"}
    _, summary = desk.prepare(desk.put("posts.csv", "id,t,k\n1,a,x\n2,b,x\n"), columns=only_texts)
    notices.print_summary(summary)
    assert summary.missing == {"image": 2, "caption": 0}
    assert capsys.readouterr().out == "prepare: 2 items kept, 0 rejected of 2\n"
