"""The tables: scores by class, confusions, predictions by names, and metrics by what an item has."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from stages.evaluate.metrics import ClassCounts, one_hot
from stages.evaluate.tables import NOTHING, confusion_pairs, patterns_of, per_class, top_classes
from store.items.manifest import Manifest
from store.items.records import Item, ManifestInfo, write_manifest
from tests.stages.evaluate.case import CLASSES, HALF, LABELS, RIGHT, Case

QUIET = settings(max_examples=60, deadline=None, derandomize=True)


def bits(*rows: str) -> np.ndarray:
    return np.array([[letter == "1" for letter in row] for row in rows])


def test_each_class_has_a_row_with_the_mean_over_seeds() -> None:
    truth = bits("100", "110", "010")
    seeds = [ClassCounts.of(truth, each) for each in (bits("100", "110", "010"), bits("100", "000", "100"))]
    bird, cup, sun = per_class(CLASSES, {"bird": "animal"}, seeds)
    assert (bird.name, bird.super_class, bird.support) == ("bird", "animal", 2)
    assert (bird.precision, bird.recall, bird.f1) == (0.75, 0.75, 0.75)
    assert bird.accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert bird.f1_std == pytest.approx(np.std([1, 0.5], ddof=1))
    assert (cup.support, cup.recall, cup.super_class) == (2, 0.5, "")
    assert (sun.support, sun.accuracy, sun.precision, sun.recall, sun.f1, sun.f1_std) == (0, 1, 0, 0, 0, 0)


def test_a_single_seed_has_no_deviation() -> None:
    (row, *_) = per_class(CLASSES, {}, [ClassCounts.of(bits("100"), bits("100"))])
    assert row.f1_std is None


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ("110", "110", [("bird", "bird"), ("cup", "cup")]),
        ("100", "010", [("bird", "cup")]),
        ("100", "011", [("bird", "cup"), ("bird", "sun")]),
        ("100", "000", [("bird", NOTHING)]),
        ("110", "101", [("bird", "bird"), ("cup", "sun")]),
        ("000", "111", []),
    ],
)
def test_hits_and_misses_as_pairs(truth: str, predicted: str, expected: list[tuple[str, str]]) -> None:
    assert list(confusion_pairs(bits(truth), bits(predicted), CLASSES)) == expected


@QUIET
@given(st.integers(0, 2**32 - 1))
def test_with_one_class_a_row_it_is_the_ordinary_confusion_matrix(seed: int) -> None:
    truth, predicted = np.random.default_rng(seed).integers(0, 3, size=(2, 15))
    pairs = Counter(confusion_pairs(one_hot(truth, 3), one_hot(predicted, 3), CLASSES))
    expected = sk.confusion_matrix(truth, predicted, labels=[0, 1, 2])
    assert [[pairs[a, b] for b in CLASSES] for a in CLASSES] == expected.tolist()


def rows_of(case: Case) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(case.outputs.tables / "predictions.parquet").to_pylist()
    return rows


def test_every_labelled_row_of_every_seed_is_told_by_names(case: Case) -> None:
    case.predict({7: HALF, 2: RIGHT})
    case.evaluate()
    rows = rows_of(case)
    assert [(row["seed"], row["id"]) for row in rows] == [(s, f"i00{r}") for s in (2, 7) for r in (4, 5, 6)]
    assert all(row["group"] == row["id"] for row in rows)
    assert [row["truth"] for row in rows[:3]] == [["bird"], ["cup", "sun"], ["bird", "cup"]]
    assert [row["predicted"] for row in rows[:3]] == [["bird"], ["cup", "sun"], ["bird", "cup"]]
    assert [row["predicted"] for row in rows[3:]] == [["cup"], ["cup", "sun"], ["bird"]]
    assert rows[1]["top"] == ["sun", "cup", "bird"]
    assert rows[1]["top_scores"] == pytest.approx([0.9, 0.8, 0.1])


def test_the_file_tells_what_it_was_made_of(case: Case) -> None:
    case.predict({0: RIGHT})
    case.evaluate(part="dev")
    schema = pq.read_schema(case.outputs.tables / "predictions.parquet")
    assert json.loads(schema.metadata[b"diptych"]) == {
        "task": "multilabel",
        "part": "dev",
        "classes": list(CLASSES),
        "manifest": hashlib.sha256(case.dataset.manifest.read_bytes()).hexdigest(),
    }
    assert [str(schema.field(name).type) for name in ("seed", "id", "group")] == ["int32", "string", "string"]


def test_a_row_that_bears_and_predicts_nothing_has_empty_lists(dataset: Any) -> None:
    case = Case(dataset, targets=np.array([[1, 0, 0]] * 4 + [[0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]))
    case.predict({0: {**RIGHT, 4: [0.1, 0.1, 0.1]}})
    case.evaluate()
    first = rows_of(case)[0]
    assert (first["truth"], first["predicted"], first["top"]) == ([], [], list(CLASSES))


def test_a_regression_tells_values(dataset: Any) -> None:
    case = Case(dataset, "regression", np.array([0, 1, 2, 3, 1.0, 2.0, 3.0, np.nan]), ())
    case.predict({0: {row: [row / 2] for row in range(2, 8)}})
    case.evaluate()
    assert [(row["truth"], row["predicted"]) for row in rows_of(case)] == [(1, 2), (2, 2.5), (3, 3)]


@QUIET
@given(st.integers(0, 2**32 - 1))
def test_the_best_classes_come_first_and_equal_ones_in_their_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, 4, size=(rng.integers(1, 9), rng.integers(1, 8))) / 4).astype(np.float32)
    expected = [sorted(range(len(row)), key=lambda at, of=row: (-of[at], at))[:5] for row in scores.tolist()]
    assert top_classes(scores, 5).tolist() == expected


INPUTS = [("p", "x"), ("p", None), (None, "x"), (None, None), ("p", "x"), (None, "y"), (None, "y"), (None, None)]


def manifest_of(path: Path, fields: tuple[str, ...] = ("title", "caption")) -> Manifest:
    """Eight items, labelled as everywhere here, whose only text is in the last field, if there is any."""
    items = []
    for row, ((image, text), bears) in enumerate(zip(INPUTS, LABELS, strict=True)):
        texts = {field: text if field == fields[-1] else None for field in fields}
        labels = None if np.isnan(bears).any() else tuple(CLASSES[at] for at in np.flatnonzero(bears))
        item = Item(f"i{row:03}", "p.png" if image else None, texts, labels, None, f"i{row:03}")
        items.append((item, b"p" * 32 if image else None))
    write_manifest(path, ManifestInfo("table", ".", "multilabel", CLASSES, {}, fields), items)
    return Manifest.open(path)


def test_rows_are_told_apart_by_what_they_have(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path / "a.parquet")
    found = patterns_of(manifest, np.array([1, 2, 3, 4, 5, 6]))
    expected = {"image and text": [3], "image only": [0], "text only": [1, 4, 5], "neither": [2]}
    assert {name: places.tolist() for name, places in found.items()} == expected
    assert list(patterns_of(manifest, np.array([0, 4]))) == ["image and text"]
    assert list(patterns_of(manifest_of(tmp_path / "b.parquet", ()), np.arange(8))) == ["image only", "neither"]


def test_presence_has_the_means_over_seeds_of_each_pattern(case: Case) -> None:
    manifest_of(case.dataset.manifest)
    case.predict({0: RIGHT, 1: HALF})
    case.evaluate()
    both, text = case.table("presence.csv")
    assert set(both) == {"pattern", "rows", "f1_macro", "subset_accuracy"}
    assert (both["pattern"], both["rows"], both["subset_accuracy"]) == ("image and text", "1", "0.500000")
    assert (text["pattern"], text["rows"], text["subset_accuracy"]) == ("text only", "2", "0.750000")


def test_where_all_rows_have_the_same_inputs_presence_is_the_whole(case: Case) -> None:
    case.predict({0: RIGHT, 1: HALF})
    values = case.evaluate()
    (row,) = case.table("presence.csv")
    assert (row["pattern"], row["rows"]) == ("neither", "3")
    assert {name: float(row[name]) for name in ("f1_macro", "subset_accuracy")} == {
        name: values[name] for name in ("f1_macro", "subset_accuracy")
    }
