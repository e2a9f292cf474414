"""Every mistake that a data set can hold: the message names file, row and remedy, and nothing is half-written."""

import csv
import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from stages.prepare.params import PrepareParams
from store.errors import InputError
from tests.stages.prepare.desk import COLUMNS, Desk, picture

HEAD = "id,image,caption,kind\n"
GOOD = "a,1.png,one,x\n"


def refused(desk: Desk, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        desk.prepare(**options)
    desk.assert_nothing_written()
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            HEAD + GOOD + "b,2.png,two,x\na,3.png,three,x\n",
            ["posts.csv:4", "duplicate id 'a'", "posts.csv:2", "rename"],
        ),
        (HEAD + GOOD + ",2.png,two,x\n", ["posts.csv:3", "blank", "fill it in"]),
        (HEAD + GOOD + "b,2.png,two\n", ["posts.csv:3: bad-record", "expected 4 cells, found 3; a ',' is lost"]),
        (HEAD + GOOD + "b,2.png,two,three,x\n", ["posts.csv:3: bad-record", "found 5; quote cells that hold ','"]),
        (HEAD + '"a","1.png","on\ne","x"\nb,2.png\n', ["posts.csv:4", "found 2"]),
        (HEAD + 'a,1.png,"one" two,x\n', ["posts.csv:2", "mend the quotes"]),
        (HEAD + GOOD + 'b,2.png,"never closed,x\n', ["posts.csv:3", "mend the quotes"]),
        (
            "id,image,captoin,kind\n" + GOOD,
            ["posts.csv:1", "'caption'", "did you mean 'captoin'", "prepare.table.text"],
        ),
        ("id,image,caption,kind,id\na,1.png,one,x,a\n", ["posts.csv:1", "'id' twice"]),
        (HEAD, ["posts.csv", "empty data set", "prepare.path"]),
        ("", ["posts.csv", "empty data set"]),
        (HEAD + "a,1.png,one,\n", ["posts.csv", "'kind'", "only blank cells"]),
        (HEAD + GOOD + "b,2.png,two,X\n", ["posts.csv:3", "'X' beside 'x' of posts.csv:2", "one spelling"]),
    ],
)
def test_a_wrong_csv(desk: Desk, content: str, told: list[str]) -> None:
    desk.put("posts.csv", content)
    message = refused(desk)
    for part in told:
        assert part in message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"id,caption,kind\na,one,x\nb,caf\xe9,x\n", ["posts.csv:3", "0xE9", "prepare.table.encoding"]),
        ("id,caption,kind\na,one,x\n".encode("utf-16"), ["posts.csv:1", "looks like utf-16"]),
    ],
)
def test_a_wrong_encoding_names_its_line(desk: Desk, content: bytes, told: list[str]) -> None:
    path = desk.put("posts.csv", content)
    message = refused(desk, path=path, columns={"id": "id", "text": "caption", "label": "kind"})
    for part in told:
        assert part in message


def test_a_declared_encoding_that_is_wrong(desk: Desk) -> None:
    desk.put("posts.csv", b"id,caption,kind\na")
    columns = {"id": "id", "text": "caption", "label": "kind", "encoding": "utf-16"}
    assert "mend prepare.table.encoding" in refused(desk, columns=columns)
    with pytest.raises(ValueError, match="found 'utf-9'"):
        desk.prepare(columns={**columns, "encoding": "utf-9"})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{not json}", "expected a JSON object"),
        ("[1, 2]", "found a list"),
        ("[" * 100_000, "expected a JSON object"),
        ('{"id": "b", "caption": {"a": 1}, "kind": "x"}', "found an object"),
        ('{"id": "b", "caption": ["a"], "kind": "x"}', "found a list"),
        ('{"id": "a", "caption": "again", "kind": "x"}', "duplicate id 'a'"),
    ],
)
def test_a_wrong_line_of_json(desk: Desk, line: str, told: str) -> None:
    desk.put("posts.jsonl", '{"id": "a", "caption": "one", "kind": "x"}\n\n' + line + "\n")
    message = refused(desk, columns={"id": "id", "text": "caption", "label": "kind"})
    assert "posts.jsonl:3" in message
    assert told in message


def test_a_column_that_no_line_of_json_has(desk: Desk) -> None:
    desk.put("posts.jsonl", '{"id": "a", "caption": "one", "kinds": "x"}\n')
    assert "'kind'" in refused(desk, columns={"id": "id", "text": "caption", "label": "kind"})


def test_damaged_files(desk: Desk) -> None:
    path = desk.put("posts.csv.gz", gzip.compress((HEAD + GOOD).encode())[:-20])
    assert "fetch it again" in refused(desk, path=path)
    path = desk.put("posts.parquet", "no Parquet")
    assert "expected a Parquet file" in refused(desk, path=path)
    path = desk.put("posts.xlsx", "PK")
    assert ".csv, .csv.gz" in refused(desk, path=path)


def test_unknown_labels_and_splits_are_told_together(desk: Desk) -> None:
    desk.put("posts.csv", "id,t,k,s\n1,a,cat,train\n2,b,catt,tset\n3,c, dog ,test\n4,d,Cat,train\n5,e,xyz,\n")
    columns = {"id": "id", "text": "t", "label": "k", "split": "s", "classes": ["cat", "dog"]}
    message = refused(desk, columns=columns)
    assert "4 mistakes" in message
    assert "posts.csv:3: expected a declared class, found the unknown label 'catt'; did you mean 'cat'?" in message
    assert "posts.csv:3: expected train, dev (or val) or test as the split, found 'tset'" in message
    assert "posts.csv:5: expected a declared class, found the unknown label 'Cat'; did you mean 'cat'?" in message
    assert "posts.csv:6: expected a declared class, found the unknown label 'xyz'; the classes are cat, dog" in message


def test_at_most_twenty_mistakes_are_told(desk: Desk) -> None:
    desk.put("posts.csv", HEAD + GOOD * 100)
    message = refused(desk)
    assert "20 mistakes and perhaps more" in message
    assert message.count("duplicate id") == 20


def test_no_table_or_several(desk: Desk) -> None:
    assert "found none" in refused(desk)
    desk.put("a.csv", HEAD + GOOD)
    desk.put("b.csv", HEAD + GOOD)
    assert "a.csv, b.csv; name it in prepare.table.file" in refused(desk)
    assert "mend prepare.table.file" in refused(desk, columns={**COLUMNS, "file": "c.csv"})
    assert "leads elsewhere" in refused(desk, columns={**COLUMNS, "file": "../c.csv"})
    assert "found nothing" in refused(desk, path=desk.data / "nowhere")
    assert "folder of the pictures" in refused(desk, columns={**COLUMNS, "file": "a.csv", "images": "nowhere"})
    desk.prepare(columns={**COLUMNS, "file": "a.csv"})


def rejects(desk: Desk) -> list[list[str]]:
    with (desk.out / "rejects.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_one_malformed_row_is_rejected_and_the_others_stay(desk: Desk) -> None:
    rows = [f"{number},1.png,text {number},x\n" for number in range(1, 25)]
    rows[11] = "12,1.png,a lost separator x\n"
    manifest, summary = desk.prepare(desk.put("posts.csv", HEAD + "".join(rows)))
    assert manifest.ids() == [str(number) for number in range(1, 25) if number != 12]
    assert summary.rejected == {"bad-record": 1}
    assert rejects(desk)[1] == ["", "posts.csv:13", "bad-record", "expected 4 cells, found 3; a ',' is lost"]


def test_one_malformed_line_of_json_is_rejected_and_the_others_stay(desk: Desk) -> None:
    lines = [f'{{"id": {number}, "t": "text {number}", "k": "x"}}\n' for number in range(1, 25)]
    lines[11] = '{"id": 12, "t": "cut o\n'
    manifest, summary = desk.prepare(desk.put("posts.jsonl", "".join(lines)), {"id": "id", "text": "t", "label": "k"})
    assert manifest.ids() == [str(number) for number in range(1, 25) if number != 12]
    assert summary.rejected == {"bad-record": 1}
    assert rejects(desk)[1][1] == "posts.jsonl:12"


def test_a_table_of_malformed_rows_alone_is_told_row_by_row(desk: Desk) -> None:
    desk.put("posts.csv", HEAD + "a,1.png\n" * 30)
    assert "20 mistakes and perhaps more" in refused(desk, max_reject_share=1)


@pytest.mark.parametrize("last", ["   \n", ",,,\n", " , ,,\n", ",\n", '"","","",""\n', "\t", " "])
def test_rows_of_blanks_are_no_rows(desk: Desk, last: str) -> None:
    manifest, summary = desk.prepare(desk.put("posts.csv", HEAD + GOOD + last))
    assert manifest.ids() == ["a"]
    assert (summary.read, summary.rejected, summary.skipped) == (1, {}, {"row of blank cells": 1})


def test_rows_of_blanks_keep_their_number(desk: Desk) -> None:
    desk.put("posts.csv", "t,k\na,x\n,\nb,y\n")
    manifest, _ = desk.prepare(columns={"text": "t", "label": "k"})
    assert manifest.ids() == ["1", "3"]


@pytest.mark.parametrize("stray", ["._posts.csv", "~$posts.csv"])
def test_files_that_systems_and_offices_leave_are_no_tables(desk: Desk, stray: str) -> None:
    desk.put("posts.csv", HEAD + GOOD)
    desk.put(stray, b"\x00\x05\x16\x07")
    manifest, _ = desk.prepare()
    assert manifest.ids() == ["a"]


def test_rows_that_no_item_can_be_made_of_are_written_down(desk: Desk) -> None:
    os.mkfifo(desk.data / "pipe.png")
    desk.put("truncated.png", picture(1)[:40])
    (desk.data / "outside.png").symlink_to("/dev/null")
    desk.put(
        "posts.csv",
        HEAD
        + "\n".join(
            [
                "ok,1.png,one,x",
                "=cmd(),none.png,one,x",
                "b,truncated.png,one,x",
                "c,../data/../../1.png,one,x",
                "d,/etc/passwd,one,x",
                "e,,  ,x",
                "f,pipe.png,one,x",
                "g,outside.png,one,x",
                f"h,{'n' * 5000},one,x\n",
            ]
        ),
    )
    manifest, summary = desk.prepare(max_reject_share=1)
    assert manifest.ids() == ["ok"]
    assert summary.rejected == {"missing-image": 1, "no-content": 1, "unreadable-image": 3, "unsafe-path": 3}
    found = rejects(desk)
    assert found[0] == ["id", "where", "reason", "detail"]
    assert found[1][:3] == ["'=cmd()", "posts.csv:3", "missing-image"]
    assert [row[1] for row in found[1:]] == [f"posts.csv:{line}" for line in range(3, 11)]


def test_targets_that_are_no_numbers_are_rejected(desk: Desk) -> None:
    desk.put("posts.csv", "id,t,y\na,one,1.5\nb,two,much\nc,three,\nd,four,inf\n")
    manifest, summary = desk.prepare(columns={"id": "id", "text": "t", "target": "y"}, max_reject_share=0.5)
    assert manifest.ids() == ["a", "c"]
    assert summary.rejected == {"bad-target": 2}
    assert "'much'" in rejects(desk)[1][3]


def test_text_without_a_utf8_form_is_rejected(desk: Desk) -> None:
    desk.put("posts.jsonl", '{"id": "a\\ud800", "t": "one", "k": "x"}\n{"id": "b", "t": "two", "k": "x"}\n')
    manifest, summary = desk.prepare(columns={"id": "id", "text": "t", "label": "k"}, max_reject_share=0.5)
    assert manifest.ids() == ["b"]
    assert summary.rejected == {"bad-text": 1}
    assert rejects(desk)[1][0] == "a\\ud800"


def test_too_many_rejects_stop_the_run(desk: Desk) -> None:
    lines = [f"{number},no{number}.png,one,x\n" for number in range(8)]
    desk.put("posts.csv", HEAD + GOOD + "".join(lines) + "z,,,x\n")
    message = refused(desk)
    assert "9 of 10 rejected (8 missing-image, 1 no-content)" in message
    assert message.count("posts.csv:") == 5
    assert "posts.csv:3 (0): missing-image: no file 'no0.png'" in message
    assert "prepare.max_reject_share" in message


def test_a_run_in_which_nothing_is_kept_fails_whatever_the_share(desk: Desk) -> None:
    desk.put("posts.csv", HEAD + "a,none.png,one,x\n")
    assert "1 of 1 rejected" in refused(desk, max_reject_share=1)


def test_a_failed_run_leaves_the_outputs_of_the_last_good_one(desk: Desk) -> None:
    desk.put("posts.csv", HEAD + GOOD)
    desk.prepare()
    before = {path.name: path.read_bytes() for path in desk.out.iterdir()}
    desk.put("posts.csv", HEAD + GOOD + GOOD)
    with pytest.raises(InputError):
        desk.prepare()
    (desk.data / "1.png").unlink()
    desk.put("posts.csv", HEAD + GOOD)
    with pytest.raises(InputError):
        desk.prepare()
    assert {path.name: path.read_bytes() for path in desk.out.iterdir()} == before
    assert [path.name for path in desk.out.parent.iterdir()] == ["prepare"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"text": "t"}, "exactly one of label, labels, onehot and target, found none"),
        ({"text": "t", "label": "a", "labels": "b"}, "found label and labels"),
        ({"label": "a"}, "expected a column for image, text or texts"),
        ({"text": "t", "texts": {"a": "b"}, "label": "a"}, "found both"),
        ({"texts": {"image": "b"}, "label": "a"}, "name of a text field"),
        ({"texts": {"a.b": "b"}, "label": "a"}, "name of a text field"),
        ({"text": "t", "target": "y", "classes": ["a"]}, "a regression has no classes"),
        ({"text": "t", "label": "y", "classes": ["a", "a"]}, "distinct classes"),
        ({"text": "t", "label": "y", "lable": "z"}, "lable"),
        ({"text": "t", "label": "y", "classes": [True, "b"]}, "found True, which YAML made .* put it in quotes"),
        ({"text": "t", "label": "y", "classes": [1.5, "b"]}, "found 1.5, which YAML made .* put it in quotes"),
        ({"text": "t", "onehot": ["a", "b"], "classes": ["a", "b"]}, "its columns are the classes"),
        ({"text": "t", "onehot": ["a", "a"]}, "distinct columns in onehot"),
        ({"text": "t", "target": "y", "thousands": ",", "decimal": ","}, "found ',' for both"),
    ],
)
def test_wrong_parameters(desk: Desk, columns: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        desk.prepare(columns=columns)


def test_a_table_needs_its_section(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the section table"):
        PrepareParams(source="table", path=str(tmp_path))
