"""The file of predictions by names, and the metrics of rows with a picture, a text, both or neither."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.evaluate.predictions import top_classes
from stages.evaluate.presence import patterns_of
from stages.items import Item, Manifest, ManifestInfo, write_manifest

from .case import CLASSES, HALF, LABELS, RIGHT, Case

QUIET = settings(max_examples=60, deadline=None, derandomize=True)


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
