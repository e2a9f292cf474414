"""Leaks of a whole manifest: counted by field, listed with both rows, flat pictures left in peace."""

import csv
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.items import Item, ManifestInfo, ManifestRow, write_manifest
from stages.split.params import SplitParams
from stages.split.run import run
from store.key import image_key

INFO = ManifestInfo("table", "data", "multiclass", ("x",), fields=("caption",))
LOOK = 0x0123456789ABCDEF


def row(name: str, part: str, picture: str | None, dhash: int | None = None, caption: str | None = None) -> ManifestRow:
    item = Item(name, picture, {"caption": caption}, ("x",), None, name, part)
    return ManifestRow(item, None if picture is None else image_key(picture.encode()), dhash)


def leaks(folder: Path, rows: list[ManifestRow], **params: Any) -> tuple[dict[str, Any], list[list[str]]]:
    write_manifest(folder / "m.parquet", INFO, rows)
    summary = run(SplitParams(**params), folder / "m.parquet", folder / "split" / "split.parquet", SilentProgress())
    with (folder / "split" / "leaks.csv").open(newline="") as stream:
        header, *listed = csv.reader(stream)
    assert header == ["test", "other", "field", "kind", "distance"]
    return summary, listed


def test_equal_and_near_contents_are_counted_and_listed(tmp_path: Path) -> None:
    rows = [
        row("a", "train", "a.png", LOOK, "one"),
        row("b", "dev", "b.png", LOOK ^ 0b111, "two"),
        row("c", "train", "c.png", LOOK ^ 0xFF, "one"),
        row("d", "test", "a.png", LOOK, "one"),
        row("e", "test", "e.png", LOOK ^ 0b1, "three"),
        row("f", "test", "f.png", ~LOOK & (2**64 - 1), None),
        row("g", "train", None, None, None),
        row("h", "test", None, None, "four"),
    ]
    summary, listed = leaks(tmp_path, rows)
    assert summary["leaks"] == {"image": 1, "caption": 1}
    found = summary["near_duplicates"]
    assert {name: found[name] for name in ("rows", "within", "compared", "flat", "without_hash")} == {
        "rows": 2, "within": 4, "compared": 3, "flat": 0, "without_hash": 0,
    }  # fmt: skip
    assert summary["listed_per_row"] == 3
    assert listed == [
        ["d", "a", "image", "equal", "0"],
        ["d", "a", "caption", "equal", "0"],
        ["d", "c", "caption", "equal", "0"],
        ["d", "b", "image", "near", "3"],
        ["e", "a", "image", "near", "1"],
        ["e", "b", "image", "near", "2"],
    ]


def test_a_larger_distance_finds_more_and_null_does_not_look(tmp_path: Path) -> None:
    rows = [
        row("a", "train", "a.png", LOOK),
        row("b", "dev", "b.png", LOOK ^ 0xFF00),
        row("c", "train", "c.png", 0xF0F0),
        row("d", "test", "d.png", LOOK ^ 0b11111),
    ]
    assert leaks(tmp_path, rows)[0]["near_duplicates"]["rows"] == 0
    assert leaks(tmp_path, rows, near=5)[0]["near_duplicates"]["rows"] == 1
    summary, listed = leaks(tmp_path, rows, near=None)
    assert summary["near_duplicates"] is None
    assert listed == []


def test_another_file_with_the_same_look_is_a_near_duplicate_and_a_copy_is_not(tmp_path: Path) -> None:
    rows = [row("a", "train", "same.png", LOOK), row("b", "dev", "z.png", 0xF0F0F0), row("c", "test", "same.png", LOOK)]
    assert leaks(tmp_path, rows)[0]["near_duplicates"]["rows"] == 0
    rows.append(row("d", "test", "saved-again.png", LOOK))
    summary, listed = leaks(tmp_path, rows)
    assert summary["near_duplicates"]["rows"] == 1
    assert listed[-1] == ["d", "a", "image", "near", "0"]


def test_flat_pictures_are_no_near_duplicates_of_each_other(tmp_path: Path) -> None:
    looks = [0, 0b11, 2**64 - 1]
    rows = [row(f"a{look}", "train", f"a{look}", look) for look in looks]
    rows += [row(f"b{look}", "test", f"b{look}", look) for look in looks]
    rows.append(row("c", "dev", "c", LOOK))
    summary, listed = leaks(tmp_path, rows)
    found = summary["near_duplicates"]
    assert (found["rows"], found["compared"], found["flat"]) == (0, 0, 3)
    assert listed == []


def test_pictures_without_a_hash_are_counted(tmp_path: Path) -> None:
    rows = [row("a", "train", "a"), row("b", "dev", "b"), row("c", "test", "c"), row("d", "test", "d", LOOK)]
    assert leaks(tmp_path, rows)[0]["near_duplicates"]["without_hash"] == 1


def test_of_many_others_the_first_three_are_listed(tmp_path: Path) -> None:
    rows = [row(f"a{n}", "train", "same.png", LOOK) for n in range(5)]
    rows += [row(f"b{n}", "dev", f"b{n}.png", LOOK) for n in range(5)]
    rows.append(row("c", "test", "same.png", LOOK))
    summary, listed = leaks(tmp_path, rows)
    assert [(other, kind) for _, other, _, kind, _ in listed] == [
        ("a0", "equal"), ("a1", "equal"), ("a2", "equal"), ("b0", "near"), ("b1", "near"), ("b2", "near"),
    ]  # fmt: skip
    assert (summary["leaks"]["image"], summary["near_duplicates"]["rows"]) == (1, 1)


@pytest.mark.parametrize("name", ["=1+1", "@cmd", "-2"])
def test_ids_are_no_formulas(tmp_path: Path, name: str) -> None:
    rows = [row("a", "train", "p"), row("b", "dev", "q"), row(name, "test", "p")]
    assert leaks(tmp_path, rows)[1] == [[f"'{name}", "a", "image", "equal", "0"]]
