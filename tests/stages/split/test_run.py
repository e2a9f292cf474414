"""The stage on real manifests: files, counts, declared splits, leaks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages.contract import SilentProgress
from stages.split.params import SplitParams
from stages.split.run import run
from store.errors import InputError
from store.items.keys import image_key
from store.items.records import Item, ManifestInfo, write_manifest
from store.items.split import read_split

INFO = ManifestInfo("table", "data", "multiclass", ("x", "y"), fields=("caption",))


def item(number: int, **changes: Any) -> Item:
    made = Item(f"i{number}", "p.png", {"caption": f"text {number}"}, ("x",), None, f"g{number // 2}")
    return replace(made, **changes)


def split(
    folder: Path, items: list[Item], pictures: list[str] | None = None, **params: Any
) -> tuple[dict[str, Any], list[str]]:
    names = pictures or [each.id for each in items]
    keys = [image_key(name.encode()) for name in names]
    write_manifest(folder / "manifest.parquet", INFO, zip(items, keys, strict=True))
    output = folder / "split" / "split.parquet"
    summary = run(SplitParams(**params), folder / "manifest.parquet", output, SilentProgress())
    return summary, read_split(output, [each.id for each in items]).tolist()


def test_the_file_the_counts_and_the_summary_agree(tmp_path: Path) -> None:
    summary, parts = split(tmp_path, [item(n, labels=None if n == 0 else ("x",)) for n in range(40)])
    assert summary["rows"] == {part: parts.count(part) for part in ("train", "dev", "test")}
    assert summary["rows"] == {"train": 28, "dev": 4, "test": 8}
    assert summary["groups"] == {"train": 14, "dev": 2, "test": 4}
    assert sum(summary["labelled"].values()) == 39
    assert summary["leaks"] == {"image": 0, "caption": 0}
    assert not summary["declared"]
    folder = tmp_path / "split"
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert json.loads(pq.read_schema(folder / "split.parquet").metadata[b"diptych"]) == summary
    assert sorted(path.name for path in folder.iterdir()) == ["leaks.csv", "split.parquet", "summary.json"]


def test_two_runs_give_equal_bytes(tmp_path: Path) -> None:
    split(tmp_path, [item(n) for n in range(40)])
    first = (tmp_path / "split" / "split.parquet").read_bytes()
    split(tmp_path, [item(n) for n in range(40)])
    assert (tmp_path / "split" / "split.parquet").read_bytes() == first


def test_equal_content_in_train_and_test_is_counted(tmp_path: Path) -> None:
    items = [item(n, group=str(n), texts={"caption": "the same" if n < 10 else None}) for n in range(20)]
    _, parts = split(tmp_path, items)
    twin = [parts.index("train"), parts.index("test")]
    pictures = ["twin" if n in twin else each.id for n, each in enumerate(items)]
    summary, parts = split(tmp_path, items, pictures)
    assert summary["leaks"] == {"image": 1, "caption": parts[:10].count("test")}


def test_a_declared_split_is_honoured_whatever_the_shares(tmp_path: Path) -> None:
    declared = ["test", "train", "dev", "train", "test", "train"]
    summary, parts = split(tmp_path, [item(n, group=str(n), part=part) for n, part in enumerate(declared)], test=0.9)
    assert parts == declared
    assert summary["declared"]


def test_a_dev_part_is_cut_from_declared_train_by_group(tmp_path: Path) -> None:
    items = [item(n, part="test" if n < 10 else "train") for n in range(50)]
    _, parts = split(tmp_path, items, dev=0.1)
    assert parts[:10] == ["test"] * 10
    assert parts[10:].count("dev") == 4
    assert all(parts[n] == parts[n + 1] for n in range(0, 50, 2))


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (["train", None, "test", "test"], "none for 1 of 4 rows, such as 'i1'"),
        (["train", "train", "dev", "dev"], "expected rows declared test"),
        (["test", "test", "dev", "dev"], "expected rows declared train"),
        (["train", "test", "dev", "dev"], "'g0' (test, train)"),
        (["train", "train", "test", "test"], "2 groups of train"),
    ],
)
def test_a_declared_split_that_is_incomplete_is_refused(tmp_path: Path, declared: list[str | None], told: str) -> None:
    with pytest.raises(InputError) as caught:
        split(tmp_path, [item(n, part=part) for n, part in enumerate(declared)])
    assert told in str(caught.value)
    assert not (tmp_path / "split").exists()


def test_too_few_groups_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 3 groups"):
        split(tmp_path, [item(0), item(1), item(2)])
    assert not (tmp_path / "split").exists()


def test_a_cut_that_is_far_from_its_shares_says_so(tmp_path: Path) -> None:
    items = [item(n, group="abc"[(n >= 60) + (n >= 90)]) for n in range(100)]
    (note,) = split(tmp_path, items)[0]["notes"]
    assert "the largest, 'a', has 60 of 100 rows" in note
    even = [item(n, group=f"g{n}") for n in range(100)]
    assert split(tmp_path, even)[0]["notes"] == []
    declared = [replace(each, part="dev" if n < 10 else "test" if n < 20 else "train") for n, each in enumerate(items)]
    assert split(tmp_path, [replace(each, group=each.id) for each in declared])[0]["notes"] == []
