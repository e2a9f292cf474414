"""The stage on manifests of NLVR and of classes, one protocol after the other."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.errors import InputError
from stages.items import Item, Manifest, ManifestInfo, write_manifest
from stages.parts import read_roles, read_split
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs
from stages.prepare.run import run as prepare
from stages.split.params import SplitParams
from stages.split.run import run
from tests.stages.prepare.sets.nlvr import write_nlvr


@pytest.fixture(scope="module")
def nlvr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_nlvr(tmp_path_factory.mktemp("nlvr"))
    params = PrepareParams(source="nlvr", path=str(folder))
    prepare(params, PrepareOutputs(folder / "out"), SilentProgress())
    return folder / "out" / "manifest.parquet"


def split(manifest: Path, folder: Path, **params: Any) -> tuple[dict[str, Any], list[str]]:
    summary = run(SplitParams(**params), manifest, folder / "split.parquet", SilentProgress())
    return summary, read_split(folder / "split.parquet", Manifest.open(manifest).ids()).tolist()


def test_p_group_holds_out_directories_and_asks_within(nlvr: Path, tmp_path: Path) -> None:
    summary, parts = split(nlvr, tmp_path, protocol="P-group")
    manifest = Manifest.open(nlvr)
    directories = manifest.meta("directory")
    assert summary["held_out"] == ["4", "5"]
    assert [part == "test" for part in parts] == [directory in ("4", "5") for directory in directories]
    assert set(parts) == {"train", "dev", "test"}
    assert len(set(zip(manifest.groups(), parts, strict=True))) == 18
    assert summary["groups"] == {"train": 11, "dev": 1, "test": 6}
    roles = read_roles(tmp_path / "split.parquet", manifest.ids())
    asked = [permutation == "0" for permutation in manifest.meta("permutation")]
    assert [role == "query" for role in roles] == [
        part == "test" and asks for part, asks in zip(parts, asked, strict=True)
    ]
    assert summary["roles"] == {"query": 12, "gallery": 60}
    assert (summary["spanning_labels"], summary["spanning_rows"]) == (2, 24)
    assert summary["untrained_classes"]["count"] == len(set(summary["untrained_classes"]["classes"])) >= 4


def test_p_group_strict_text_leaves_shared_sentences_out(nlvr: Path, tmp_path: Path) -> None:
    summary, _ = split(nlvr, tmp_path, protocol="P-group", strict_text=True)
    assert summary["roles"] == {"query": 8, "gallery": 40}
    assert summary["rows"]["test"] == 72


def test_p_image_cuts_by_row_and_says_so(nlvr: Path, tmp_path: Path) -> None:
    summary, parts = split(nlvr, tmp_path, protocol="P-image")
    assert summary["rows"] == {"train": 156, "dev": 17, "test": 43}
    assert summary["roles"] == {"query": 43, "gallery": 173}
    assert summary["straddling_groups"] == 18
    assert "on purpose" in summary["notes"][0]
    assert summary["untrained_classes"] == {"count": 0, "classes": []}
    labels = Manifest.open(nlvr).class_index().tolist()
    tested = Counter(label for label, part in zip(labels, parts, strict=True) if part == "test")
    assert all(abs(tested[label] - 0.2 * count) < 1 for label, count in Counter(labels).items())


def test_seeds_rotate_the_held_out_directories(nlvr: Path, tmp_path: Path) -> None:
    held = [tuple(split(nlvr, tmp_path, protocol="P-group", seed=seed)[0]["held_out"]) for seed in range(10)]
    assert held[0] == ("4", "5")
    assert len(set(held)) == 10


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"by": "sheet"}, "sheet"),
        ({"held_out": 6}, "more than 6 values of directory"),
        ({"within": "directory"}, "for the query"),
    ],
)
def test_columns_and_values_that_are_not_there(nlvr: Path, tmp_path: Path, params: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        split(nlvr, tmp_path, protocol="P-group", **params)
    assert not (tmp_path / "split.parquet").exists()


def write(
    folder: Path, items: list[Item], task: Any = "multiclass", classes: tuple[str, ...] = ("x", "y", "z")
) -> Path:
    path = folder / "manifest.parquet"
    info = ManifestInfo("table", ".", task, classes, fields=("caption",), meta=("directory",))
    write_manifest(path, info, [(item, None) for item in items])
    return path


def item(number: int, label: str | None = "x", group: str | None = None, part: str | None = None) -> Item:
    labels = None if label is None else (label,)
    meta = {"directory": None if number == 3 else "1"}
    return Item(f"i{number}", None, {"caption": f"text {number}"}, labels, None, group or f"g{number}", part, meta)


def test_per_class_halves_the_share_of_each_class(tmp_path: Path) -> None:
    items = [item(n, "x" if n < 101 else "y" if n < 150 else None) for n in range(160)]
    summary, parts = split(write(tmp_path, items), tmp_path, protocol="per_class")
    assert Counter(parts[:101]) == {"train": 97, "dev": 2, "test": 2}
    assert set(parts[101:]) == {"train"}
    assert summary["train_only"] == {"count": 2, "classes": ["y", "z"]}
    assert summary["untrained_classes"] == {"count": 1, "classes": ["z"]}


def test_first_n_follows_the_rows_and_the_groups(tmp_path: Path) -> None:
    items = [item(n, group="g0" if n == 8 else None) for n in range(10)]
    summary, parts = split(write(tmp_path, items), tmp_path, protocol="first_n", first=7)
    assert [n for n, part in enumerate(parts) if part == "test"] == [7, 9]
    assert summary["moved_to_train"] == {"rows": 1, "groups": 1}


def test_a_declared_split_may_be_left_alone(tmp_path: Path) -> None:
    manifest = write(tmp_path, [item(n, part="test" if n < 5 else "train") for n in range(20)])
    honoured, parts = split(manifest, tmp_path, protocol="first_n", first=12)
    assert honoured["declared"]
    assert parts[:5] == ["test"] * 5
    summary, parts = split(manifest, tmp_path, protocol="first_n", first=12, honour=False)
    assert not summary["declared"]
    assert parts[12:] == ["test"] * 8


@pytest.mark.parametrize("protocol", ["P-image", "P-group"])
def test_a_declared_split_gives_no_roles(tmp_path: Path, protocol: str) -> None:
    manifest = write(tmp_path, [item(n, part="test" if n < 5 else "train") for n in range(20)])
    with pytest.raises(InputError, match=f"the protocol {protocol}, found a declared one"):
        split(manifest, tmp_path, protocol=protocol)


def test_a_row_without_the_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none for 1, such as 'i3'"):
        split(write(tmp_path, [item(n) for n in range(20)]), tmp_path, protocol="P-group")


@pytest.mark.parametrize("protocol", ["per_class", "P-image"])
def test_a_regression_has_no_classes(tmp_path: Path, protocol: str) -> None:
    items = [Item(f"i{n}", None, {"caption": "t"}, None, float(n), f"g{n}") for n in range(20)]
    manifest = write(tmp_path, items, "regression", ())
    with pytest.raises(InputError, match="regression"):
        split(manifest, tmp_path, protocol=protocol)
    summary, _ = split(manifest, tmp_path, protocol="first_n", first=15)
    assert "untrained_classes" not in summary


def test_rows_with_several_classes_are_cut_by_all_of_them(tmp_path: Path) -> None:
    made = [("x",), ("x", "y"), ("y",)]
    items = [Item(f"i{n}", None, {"caption": "t"}, made[n % 3], None, f"g{n}") for n in range(60)]
    summary, parts = split(write(tmp_path, items, "multilabel"), tmp_path, protocol="P-image")
    assert Counter((n % 3, part) for n, part in enumerate(parts) if part == "test") == {
        (k, "test"): 4 for k in range(3)
    }
    assert summary["untrained_classes"] == {"count": 1, "classes": ["z"]}
