"""Writes what `evaluate`, `reduce`, `retrieve` and `split` leave for the later sections, after the form they have."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.stages.report.run_folder import RunFolder

Decide = Callable[[int, int], Sequence[str]]
"""From a seed and a row of the manifest to the classes that are predicted."""


def table(path: Path, header: str, *lines: str | Sequence[object]) -> None:
    """Write a CSV file; lines are texts, or cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(line.split(",") if isinstance(line, str) else line for line in lines)


def truth_of(folder: RunFolder, row: int) -> list[str]:
    """Return the classes that an item bears, in the order of the manifest."""
    return [folder.classes[column] for column in sorted(folder.columns(row))]


def wrong_on(folder: RunFolder, *rows: int) -> Decide:
    """Decide rightly, but on some rows for the last class alone."""
    return lambda _, row: [folder.classes[-1]] if row in rows else truth_of(folder, row)


def outcomes(folder: RunFolder, decide: Decide, *, seeds: int = 2) -> dict[str, Any]:
    """Make the columns of `predictions.parquet`: the predicted classes come first among the best, from 0.9 down."""
    rows = [(seed, row) for seed in range(seeds) for row in range(folder.items) if folder.parts[row] == "test"]
    said = [list(decide(seed, row)) for seed, row in rows]
    tops = [(one + [label for label in folder.classes if label not in one])[:5] for one in said]
    return {
        "seed": [seed for seed, _ in rows],
        "id": [folder.ids[row] for _, row in rows],
        "group": [folder.ids[row] for _, row in rows],
        "truth": [truth_of(folder, row) for _, row in rows],
        "predicted": said,
        "top": tops,
        "top_scores": [[0.9 - 0.1 * place for place in range(len(one))] for one in tops],
    }


def write_outcomes(folder: RunFolder, name: str, columns: dict[str, Any]) -> Path:
    """Write `predictions.parquet` of a classification or, where the truth is a number, of a regression."""
    lists, numbers = pa.list_(pa.string()), pa.float64()
    said = lists if isinstance(columns["truth"][0], list) else numbers
    kinds = {
        "seed": pa.int32(), "id": pa.string(), "group": pa.string(), "truth": said, "predicted": said, "top": lists,
        "top_scores": pa.list_(pa.float32()),
    }  # fmt: skip
    path = folder.root / "data" / "evaluate" / name / "predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({key: pa.array(values, kinds[key]) for key, values in columns.items()}), path)
    return path


def write_regression(folder: RunFolder, name: str, errors: Sequence[float]) -> None:
    """Write a regression of one seed whose errors are given, from the first test row on."""
    rows = [row for row in range(folder.items) if folder.parts[row] == "test"]
    columns = outcomes(folder, lambda *_: [], seeds=1)
    truth = [row / 4 for row in rows]
    predicted = [value + error for value, error in zip(truth, errors, strict=True)]
    kept = {key: columns[key] for key in ("seed", "id", "group")}
    write_outcomes(folder, name, {**kept, "truth": truth, "predicted": predicted})


def write_calibration(folder: RunFolder, name: str, shares: Sequence[float | None]) -> None:
    """Write ten bins; a share of None is an empty bin."""
    lines = [
        (
            low / 10,
            (low + 1) / 10,
            0 if share is None else 10 ** (low % 4),
            *([""] * 2 if share is None else [low / 10 + 0.05, share]),
        )
        for low, share in enumerate(shares)
    ]
    table(folder.root / "data/evaluate" / name / "calibration.csv", "low,high,count,confidence,share", *lines)


def write_weights(folder: RunFolder, name: str, classes: Iterable[str]) -> None:
    """Write weights of two inputs that differ from class to class."""
    lines: list[Sequence[object]] = []
    for place, label in enumerate(["(all)", *classes]):
        weight = 0.3 + place / 20
        lines += [(label, "caption-hash", weight, 12 - place), (label, "image-colorhist", 1 - weight, 12 - place)]
    table(folder.root / "data/evaluate" / name / "weights.csv", "class,input,weight,rows", *lines)


def write_maps(folder: RunFolder, name: str, *, ringed: bool = True) -> None:
    """Write a raw and a fused panel of the test rows."""
    rows = [row for row in range(folder.items) if folder.parts[row] == "test"]
    rng = np.random.default_rng(1)
    keys = (("caption-hash", "raw"), ("fused vectors", "fused"))
    lines = [
        (*key, folder.ids[row], truth_of(folder, row)[0], *rng.normal(size=2).round(4), int(ringed and row == 5))
        for key in keys
        for row in rows
    ]
    at = folder.root / "data/evaluate" / name
    table(at / "tsne.csv", "panel,kind,id,class,x,y,highlight", *lines)
    facts = [(*key, len(rows), 6, 3.0, silhouette) for key, silhouette in zip(keys, (-0.0004, 0.25), strict=True)]
    table(at / "tsne_panels.csv", "panel,kind,rows,classes,perplexity,silhouette", *facts)


def write_leaks(folder: RunFolder, near: object) -> None:
    """Write a near pair of pictures, an equal caption, and the counts."""
    lines = [(folder.ids[1], folder.ids[4], "caption", "equal", 0), (folder.ids[3], folder.ids[0], "image", "near", 2)]
    table(folder.root / "data/split/leaks.csv", "test,other,field,kind,distance", *lines)
    path = folder.root / "data/split/summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "near_duplicates": near}))


def write_sections(folder: RunFolder, *names: str) -> None:
    """Write everything that the later sections read, about some experiments of a run; the first is the best."""
    for place, name in enumerate(names):
        write_outcomes(folder, name, outcomes(folder, wrong_on(folder, *range(place * 6 + 2)), seeds=1))
        write_calibration(folder, name, [0.1, None, 0.2, 0.5, 0.4, 0.6, None, 0.7, 0.8, 1.0])
        lines = (f"image and text,8,{0.5 - place / 10},0.2", f"image only,4,{0.3 + place / 10},0.1")
        at = folder.root / "data/evaluate" / name
        table(at / "presence.csv", "pattern,rows,f1_macro,subset_accuracy", *lines)
    write_weights(folder, names[0], folder.classes)
    write_maps(folder, names[0])
    write_leaks(folder, {"rows": 1, "within": 4, "compared": 10, "flat": 1, "varied_bits": 64, "without_hash": 0})
