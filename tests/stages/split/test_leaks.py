"""Leaks: equal content across the parts, and hashes within a few bits, found without comparing every pair."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.split.leaks import flat, neighbours, varied_bits
from stages.split.params import SplitParams
from stages.split.run import run
from store.items.keys import image_key
from store.items.records import Item, ManifestInfo, ManifestRow, write_manifest

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


Pair = tuple[int, int, int]


def crowd(seed: int, count: int, centres: int = 40) -> np.ndarray:
    """Draw distinct hashes, most of them up to six bits away from a few centres; half of the bits never vary."""
    dice = np.random.default_rng(seed)
    middle = np.random.default_rng(0).integers(0, 2**64, centres, dtype=np.uint64)
    flips = np.bitwise_or.reduce(np.uint64(1) << dice.integers(0, 64, (6, count)).astype(np.uint64), axis=0)
    drawn = middle[dice.integers(0, centres, count)] ^ np.where(dice.random(count) < 0.8, flips, np.uint64(0))
    return dice.permutation(np.unique(drawn | np.uint64(0xFFFFFFFF)))


def every_pair(asked: np.ndarray, others: np.ndarray, near: int) -> list[list[Pair]]:
    distance = np.bitwise_count(asked[:, None] ^ others[None]).astype(int)
    found = []
    for row in range(len(asked)):
        close = sorted((int(distance[row, other]), int(other)) for other in np.flatnonzero(distance[row] <= near))
        found.append([(row, other, apart) for apart, other in close])
    return found


@pytest.mark.parametrize("near", [0, 1, 4, 10])
@pytest.mark.parametrize("most", [3, 10**6])
def test_all_near_pairs_are_found_up_to_the_most_asked_for(near: int, most: int) -> None:
    asked, others = crowd(1, 80), crowd(2, 250)
    got = [tuple(map(int, pair)) for pair in zip(*neighbours(asked, others, near, most), strict=True)]
    assert got == sorted(got, key=lambda pair: (pair[0], pair[2], pair[1]))
    for row, wanted in enumerate(every_pair(asked, others, near)):
        found = [pair for pair in got if pair[0] == row]
        if len(wanted) < most:
            assert found == wanted
        else:
            assert len(found) == most
            assert set(found) <= set(wanted)
    assert got


def test_many_bands_and_small_batches_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, others = crowd(1, 80), crowd(2, 250)
    before = neighbours(asked, others, 4, 10**6)
    monkeypatch.setattr("stages.split.leaks._MANY", (10,))
    monkeypatch.setattr("stages.split.leaks._PAIRS_AT_ONCE", 300)
    after = neighbours(asked, others, 4, 10**6)
    assert [part.tolist() for part in before] == [part.tolist() for part in after]


def test_nothing_has_no_neighbours() -> None:
    none, some = np.zeros(0, np.uint64), np.ones(1, np.uint64)
    assert [len(part) for part in neighbours(none, some, 4, 3)] == [0, 0, 0]
    assert [len(part) for part in neighbours(some, none, 4, 3)] == [0, 0, 0]


def test_flat_hashes_are_those_within_the_distance_of_all_zeros_or_all_ones() -> None:
    hashes = np.array([0, 0b1111, 0b11111, 2**64 - 1, 2**64 - 1 - 0b1111, 2**64 - 1 - 0b11111], np.uint64)
    assert flat(hashes, 4).tolist() == [True, True, False, True, True, False]
    assert flat(hashes, 0).tolist() == [True, False, False, True, False, False]


def test_bits_that_vary_are_counted() -> None:
    hashes = np.arange(64, dtype=np.uint64) | np.uint64(1 << 40)
    assert varied_bits(hashes) == 6
    assert varied_bits(np.zeros(0, np.uint64)) == 0
