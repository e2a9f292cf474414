"""Protocols on manifests of NLVR and of classes; docs/systems/evaluation.md#per_class has the numbers."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs
from stages.prepare.run import run as prepare
from stages.split.params import SplitParams
from stages.split.protocols import by_class, by_order, half_share
from stages.split.run import run
from store.errors import InputError
from store.items.manifest import Manifest
from store.items.records import Item, ManifestInfo, write_manifest
from store.items.split import read_roles, read_split
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


ROWS = st.lists(st.tuples(st.integers(0, 60), st.integers(-1, 3)), max_size=150).map(
    lambda rows: [*rows, *((100 + n, 1) for n in range(20))]
)


@pytest.mark.parametrize(("rows", "half"), [(49, 0), (50, 1), (100, 2), (101, 2), (3000, 60), (0, 0)])
def test_the_numbers_of_the_published_rule(rows: int, half: int) -> None:
    assert half_share(rows, 0.04) == half


def test_shares_are_taken_as_they_are_written() -> None:
    assert half_share(100, 0.58) == 29  # 0.58 * 100 is 57.99999999999999
    assert half_share(10, 1e-05) == 0


def test_classes_that_are_too_small_train_and_are_named() -> None:
    labels = [0] * 49 + [1] * 50 + [2] * 3000
    groups = [str(row) for row in range(len(labels))]
    cut = by_class(groups, labels, ("a", "b", "c", "d"), 0.04, 0)
    counts = Counter(zip(labels, cut.parts, strict=True))
    assert counts == {(0, "train"): 49, (1, "train"): 48, (1, "dev"): 1, (1, "test"): 1,
                      (2, "train"): 2880, (2, "dev"): 60, (2, "test"): 60}  # fmt: skip
    assert cut.counts == {"train_only": {"count": 2, "classes": ["a", "d"]}}


def test_the_first_class_decides_for_a_picture_of_several() -> None:
    # 50 pictures stand in both classes; as they belong to the first, the second has 49 of its own: too few.
    groups = [*map(str, range(50)), *map(str, range(99))]
    labels = [*([0] * 50), *([1] * 99)]
    cut = by_class(groups, labels, ("a", "b"), 0.04, 0)
    assert cut.counts["train_only"] == {"count": 1, "classes": ["b"]}
    assert all(cut.parts[row] == cut.parts[50 + row] for row in range(50))
    assert Counter(cut.parts[50:]) == {"train": 97, "dev": 1, "test": 1}


@settings(deadline=None, max_examples=50)
@given(ROWS, st.integers(0, 3))
def test_groups_never_straddle_and_dev_equals_test(rows: list[tuple[int, int]], seed: int) -> None:
    groups = [str(group) for group, _ in rows]
    parts = by_class(groups, [label for _, label in rows], "abcd", 0.5, seed).parts
    distinct = set(zip(groups, parts, strict=True))
    assert len(distinct) == len(set(groups))
    counts = Counter(part for _, part in distinct)
    assert counts["dev"] == counts["test"] > 0


@settings(deadline=None, max_examples=50)
@given(ROWS, st.integers(0, 3), st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple[int, int]], seed: int, shuffle: int) -> None:
    def part_of(given: list[tuple[int, int]]) -> dict[int, str]:
        parts = by_class([str(group) for group, _ in given], [label for _, label in given], "abcd", 0.5, seed).parts
        return dict(zip([group for group, _ in given], parts, strict=True))

    shuffled = list(rows)
    Random(shuffle).shuffle(shuffled)  # noqa: S311 (an order, no secret)
    assert part_of(rows) == part_of(shuffled)


def test_another_seed_is_another_cut() -> None:
    groups = [str(row) for row in range(100)]
    assert by_class(groups, [0] * 100, "a", 0.4, 0).parts != by_class(groups, [0] * 100, "a", 0.4, 1).parts


@pytest.mark.parametrize("labels", [[0] * 49, [-1] * 60, []])
def test_without_a_class_that_is_large_enough_nothing_is_cut(labels: list[int]) -> None:
    with pytest.raises(InputError, match=r"raise split\.share"):
        by_class([str(row) for row in range(len(labels))], labels, ("a",), 0.04, 0)


def test_the_first_rows_train_and_the_last_test() -> None:
    cut = by_order([str(row) for row in range(5000)], 4000, 0.1, 0)
    assert Counter(cut.parts[:4000]) == {"train": 3600, "dev": 400}
    assert set(cut.parts[4000:]) == {"test"}
    assert cut.counts == {"moved_to_train": {"rows": 0, "groups": 0}}


def test_later_editions_follow_the_first() -> None:
    cut = by_order(["a", "b", "a", "c", "a", "b"], 2, 0.5, 0)
    assert [part == "test" for part in cut.parts] == [False, False, False, True, False, False]
    assert cut.parts[0] == cut.parts[2] == cut.parts[4]
    assert cut.counts == {"moved_to_train": {"rows": 3, "groups": 2}}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 30).map(str), min_size=10, max_size=100), st.integers(0, 3))
def test_groups_never_straddle(numbers: list[str], seed: int) -> None:
    groups = ["a", "b", *numbers, "z"]
    parts = by_order(groups, 6, 0.3, seed).parts
    assert len(set(zip(groups, parts, strict=True))) == len(set(groups))
    assert set(parts) == {"train", "dev", "test"}
    assert "test" not in parts[:6]


def test_the_seed_moves_only_the_dev_rows() -> None:
    groups = [str(row) for row in range(100)]
    first, second = (by_order(groups, 80, 0.2, seed).parts for seed in (0, 1))
    assert first != second
    assert first[80:] == second[80:]


@pytest.mark.parametrize(("groups", "first"), [(["a", "b", "c"], 3), (["a", "b", "a"], 2), ([], 4000)])
def test_some_rows_must_be_left_for_test(groups: list[str], first: int) -> None:
    with pytest.raises(InputError, match=r"lower split\.first"):
        by_order(groups, first, 0.5, 0)
