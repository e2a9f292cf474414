"""Tables as they are found: other delimiters, words for blanks, lists in cells, noisy classes, lost pictures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from stages.evaluate.truth import Truth
from stages.prepare.sources.table.cells import folded, number_of
from store.errors import InputError
from tests.stages.prepare.desk import Desk

WORDS = {"id": "id", "text": "t", "labels": "tags"}
HEAD = "id,t,tags\n"


def labels(desk: Desk, table: str, **options: Any) -> tuple[tuple[str, ...], list[list[int]], tuple[str, ...]]:
    manifest, summary = desk.prepare(desk.put("posts.csv", table), {**WORDS, **options})
    return manifest.info.classes, manifest.label_matrix().astype(int).tolist(), summary.notes


@pytest.mark.parametrize(
    ("name", "mark", "options"),
    [("posts.csv", ";", {"delimiter": ";"}), ("posts.tsv", "\t", {}), ("posts.tsv", "|", {"delimiter": "|"})],
)
def test_other_delimiters(desk: Desk, name: str, mark: str, options: dict[str, str]) -> None:
    table = f'id{mark}t{mark}tags\na{mark}"one{mark} two, three"{mark}x/y\n'
    manifest, _ = desk.prepare(desk.put(name, table), {**WORDS, "sep": "/", **options})
    assert manifest.texts("caption") == [f"one{mark} two, three"]
    assert manifest.info.classes == ("x", "y")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_another_delimiter_than_the_declared_one_is_told(desk: Desk, mark: str) -> None:
    path = desk.put("posts.csv", mark.join(["id", "t", "tags"]) + "\n")
    with pytest.raises(InputError, match=r"posts\.csv:1: .* set prepare\.table\.delimiter to that") as caught:
        desk.prepare(path, WORDS)
    assert repr(mark) in str(caught.value)


def test_declared_words_are_blanks_in_every_column(desk: Desk) -> None:
    desk.put("posts.csv", "id,image,t,tags,g\na,N/A,one,x|N/A,N/A\nb,1.png, nan ,nan,g\nc,,N/A x,x,g\n")
    columns = {**WORDS, "image": "image", "group": "g", "blank": ["N/A", "nan"]}
    manifest, summary = desk.prepare(columns=columns)
    assert manifest.images() == [None, "1.png", None]
    assert manifest.texts("caption") == ["one", None, "N/A x"]
    assert manifest.label_matrix().tolist() == [[True], [False], [True]]
    assert manifest.groups() == ["a", "g", "g"]
    assert summary.notes == ()


def test_words_that_may_be_blanks_are_noted_in_texts_and_refused_as_classes(desk: Desk) -> None:
    _, _, notes = labels(desk, HEAD + "a,N/A,x\nb,nan,y\nc,N/A,x\n")
    assert [note.partition(":")[0] for note in notes] == [
        "2 cells of column 't' say 'N/A'",
        "1 cells of column 't' say 'nan'",
    ]
    for word in ("nan", "NaN", "None", "n/a"):
        with pytest.raises(InputError, match=r"posts\.csv:3: expected a class, found '.*prepare\.table\.blank"):
            labels(desk, HEAD + f"a,one,x\nb,two,{word}\n")
    assert labels(desk, HEAD + "a,one,none\n", classes=["none"])[0] == ("none",)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("['Drama', 'Sci-Fi']", ("Drama", "Sci-Fi")),
        ('["Drama", "it\'s | fine", null]', ("Drama", "it's | fine")),
        ("('Drama',)", ("Drama",)),
        ("[2001, '\\d']", ("2001", "\\d")),
        ("[]", ()),
        ("", ()),
    ],
)
def test_cells_that_are_lists(desk: Desk, cell: str, found: tuple[str, ...]) -> None:
    rows = [{"id": "a", "t": "one", "tags": cell}, {"id": "b", "t": "two", "tags": '["Drama"]'}]
    path = desk.put("posts.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    manifest, _ = desk.prepare(path, {**WORDS, "sep": "[]"})
    assert manifest.info.classes == tuple(sorted({"Drama", *found}))
    assert manifest.label_matrix()[0].sum() == len(found)


NEGATIVES = HEAD + "a,one,['x']\nb,two,[]\nc,three,\nd,four,[None]\ne,five,['N/A']\nf,six,\"['x', 'y']\"\n"


def test_an_empty_list_is_a_negative_and_is_scored(desk: Desk) -> None:
    manifest, summary = desk.prepare(desk.put("posts.csv", NEGATIVES), {**WORDS, "sep": "[]", "blank": ["N/A"]})
    assert manifest.labelled().tolist() == [True, True, False, False, False, True]
    assert (summary.labelled, summary.unlabelled, summary.labels) == (3, 3, {"x": 2, "y": 1})
    assert summary.notes == (
        "1 rows bear none of the classes (an empty list) and count as labelled; prepare.table.negatives: false takes "
        "them for unlabelled",
    )
    truth = Truth.read(manifest, np.array(["train", "test", "test", "test", "test", "test"]), "test")
    assert truth.ids == ["b", "f"]
    assert truth.labels is not None
    assert truth.labels.tolist() == [[False, False], [True, True]]


def test_an_empty_list_may_be_taken_for_unlabelled(desk: Desk) -> None:
    columns = {**WORDS, "sep": "[]", "blank": ["N/A"], "negatives": False}
    manifest, summary = desk.prepare(desk.put("posts.csv", NEGATIVES), columns)
    assert manifest.labelled().tolist() == [True, False, False, False, False, True]
    assert summary.notes == ()


def test_dropped_classes_leave_unlabelled_what_was_no_negative(desk: Desk) -> None:
    table = HEAD + "a,one,['x']\nb,two,[]\nc,three,['rare']\nd,four,['x']\n"
    manifest, summary = desk.prepare(desk.put("posts.csv", table), {**WORDS, "sep": "[]", "min_count": 2})
    assert manifest.labels(np.arange(4)) == [("x",), (), None, ("x",)]
    assert "1 rows have none of the 1 others and count as unlabelled" in summary.notes[0]


@pytest.mark.parametrize(
    "cell",
    [
        "Drama",
        "{'a': 1}",
        "[['a'], 'b']",
        "__import__('os').system('true')",
        "[__import__('os')]",
        "[" * 5000,
        "[1" + "+1" * 9000 + "]",
        "'a' * 99",
    ],
)
def test_cells_that_are_no_lists_are_told_and_never_run(desk: Desk, cell: str) -> None:
    path = desk.put("posts.jsonl", "\n" + json.dumps({"id": "a", "t": "one", "tags": cell}))
    with pytest.raises(InputError, match=r"posts\.jsonl:2: column 'tags': expected a list of classes") as caught:
        desk.prepare(path, {**WORDS, "sep": "[]"})
    assert len(str(caught.value)) < 300


def test_a_list_where_a_separator_was_declared_is_told_once(desk: Desk) -> None:
    with pytest.raises(InputError, match=r"posts\.csv:2: column 'tags'.*set prepare\.table\.sep to '\[\]'") as caught:
        labels(desk, HEAD + "a,one,\"['x', 'y']\"\nb,two,\"['y', 'z']\"\n")
    assert "posts.csv:3" not in str(caught.value)
    assert "is prepare.table.sep right" not in str(caught.value)


def test_a_separator_that_no_cell_holds_is_noted(desk: Desk) -> None:
    assert labels(desk, HEAD + 'a,one,"x, y"\nb,two,z\n')[2] == (
        "no cell of column 'tags' holds the separator '|', and 1 of 2 hold ',': is prepare.table.sep right?",
    )
    assert labels(desk, HEAD + 'a,one,"x, y"\nb,two,z\n', sep=",")[2] == ()
    with pytest.raises(InputError, match=r"one spelling per class[^\n]*\n  note: no cell of column 'tags'"):
        labels(desk, HEAD + 'a,one,"x, y"\nb,two,"X, y"\n')


def test_folded_spellings_are_one_class(desk: Desk) -> None:
    table = HEAD + "a,one,Home  Decor|caf\u00e9\nb,two,home decor | CAFE\u0301|\u200bvase\nc,three,Vase\n"
    classes, matrix, _ = labels(desk, table, fold=True)
    assert classes == ("caf\u00e9", "home decor", "vase")
    assert matrix == [[1, 1, 0], [1, 1, 1], [0, 0, 1]]
    classes, matrix, _ = labels(desk, table, fold=True, classes=["Home Decor", "Caf\u00e9", "VASE"])
    assert classes == ("Home Decor", "Caf\u00e9", "VASE")
    assert matrix == [[1, 1, 0], [1, 1, 1], [0, 0, 1]]
    with pytest.raises(InputError, match="unknown label 'vase'"):
        labels(desk, table, fold=True, classes=["Home Decor", "Caf\u00e9"])
    assert folded("  STRASSE\u00a0x\0 ") == "strasse x"


def test_spellings_that_look_the_same_are_told_apart(desk: Desk) -> None:
    with pytest.raises(InputError, match=r"posts\.csv:3: .*'cafe\\u0301' beside 'caf\\xe9' of posts\.csv:2"):
        labels(desk, HEAD + "a,one,caf\u00e9\nb,two,cafe\u0301\n")


def test_rare_classes_are_dropped_and_their_rows_kept(desk: Desk) -> None:
    classes, matrix, notes = labels(desk, HEAD + "a,one,x|y\nb,two,x|z\nc,three,w\nd,four,y\n", min_count=2)
    assert classes == ("x", "y")
    assert matrix == [[1, 1], [1, 0], [0, 0], [0, 1]]
    assert notes == (
        "min_count dropped 2 classes of fewer than 2 rows; 1 rows have none of the 2 others and count as unlabelled",
    )
    with pytest.raises(InputError, match=r"found at most 2 rows of one; lower prepare\.table\.min_count"):
        labels(desk, HEAD + "a,one,x|y\nb,two,x\n", min_count=3)
    with pytest.raises(ValueError, match="no min_count beside classes"):
        labels(desk, HEAD + "a,one,x\n", min_count=2, classes=["x"])


def test_a_lost_picture_may_leave_its_row(desk: Desk) -> None:
    desk.put("posts.csv", "id,image,t,tags\na,1,one,x\nb,gone,two,y\nc,gone,,y\nd,../1,four,y\n")
    columns = {**WORDS, "image": "image", "suffix": ".png", "absent": "blank"}
    manifest, summary = desk.prepare(columns=columns, max_reject_share=1)
    assert manifest.images() == ["1.png", None]
    assert summary.rejected == {"no-content": 1, "unsafe-path": 1}
    assert summary.notes == ("2 pictures of column 'image' are not there: their rows go without",)


def test_a_lost_picture_tells_what_may_be_done(desk: Desk) -> None:
    desk.put("posts.csv", f"id,image,t,tags\na,1,one,x\nb,{'n' * 255},two,y\n")
    with pytest.raises(InputError, match=r"no file '1' below .*, but one that ends in \.png besides") as caught:
        desk.prepare(columns={**WORDS, "image": "image"})
    assert "set prepare.table.absent to blank" in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "thousands", "decimal", "value"),
    [
        ("1,5", None, ",", 1.5),
        ("-,5", None, ",", -0.5),
        ("1,5e3", None, ",", 1500.0),
        ("1 234,5", " ", ",", 1234.5),
        ("1'234,5", "'", ",", 1234.5),
        ("1.234,5", ".", ",", 1234.5),
        ("1,234.5", ",", ".", 1234.5),
        ("1,234.5", ",", None, 1234.5),
        ("-1,234,567", ",", None, -1234567.0),
        (" 12.5 ", ",", None, 12.5),
        ("1.234,5", ".", None, 1234.5),
        ("3,5", ".", None, 3.5),
        ("1 234", " ", None, 1234.0),
        ("1e3", None, None, 1000.0),
        (".5", None, None, 0.5),
        ("  ", ",", None, None),
    ],
)
def test_numbers(cell: str, thousands: str | None, decimal: str | None, value: float | None) -> None:
    assert number_of(cell, thousands, decimal) == value


@pytest.mark.parametrize(
    ("cell", "thousands", "decimal", "told"),
    [
        ("3,5", None, None, "if ',' is its decimal sign, set prepare.table.decimal to that"),
        ("1,234", None, None, "set prepare.table.thousands to that; if ',' is its decimal sign, set prepare.table.dec"),
        ("1 234,5", " ", None, "if ',' is its decimal sign"),
        ("1.234,5", None, None, "if '.' groups its digits"),
        ("1.5", None, ",", "its decimal sign should be a comma"),
        ("1.234", " ", ",", "its decimal sign should be a comma"),
        ("1,2,3", None, ",", "expected a number"),
    ],
)
def test_numbers_of_another_decimal_sign(cell: str, thousands: str | None, decimal: str | None, told: str) -> None:
    with pytest.raises(ValueError, match="expected a number") as caught:
        number_of(cell, thousands, decimal)
    assert told in str(caught.value)


def test_targets_with_a_decimal_comma(desk: Desk) -> None:
    path = desk.put("posts.csv", "sep=;\nid;t;y\na;one;1,5\nb;two;-2\n")
    columns = {"id": "id", "text": "t", "target": "y"}
    manifest, _ = desk.prepare(path, {**columns, "decimal": ","})
    assert manifest.targets().tolist() == [1.5, -2.0]
    with pytest.raises(InputError, match=r"found '1,5'; if ',' is its decimal sign, set prepare\.table\.decimal"):
        desk.prepare(path, columns)


@pytest.mark.parametrize(
    ("cell", "thousands", "told"),
    [
        ("1,234", None, "if ',' groups its digits, set prepare.table.thousands"),
        ("1_000", None, "if '_' groups"),
        ("3,5", ",", "expected a number, found '3,5'"),
        ("1,23,456", ",", "expected a number"),
        ("1.5", ".", "expected a number"),
        ("NaN", None, "list it in prepare.table.blank"),
        ("inf", None, "expected a number"),
        ("1e999", None, "expected a finite number"),
        ("١٢", None, "expected a number"),
        ("=1+1", None, "expected a number"),
        ("9" * 10_000 + "x", None, "expected a number, found '9999"),
    ],
)
def test_what_is_no_number(cell: str, thousands: str | None, told: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        number_of(cell, thousands)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 200
