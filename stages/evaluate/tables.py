"""The folder of one experiment: scores by class, confusions, metrics by present inputs, predictions by names."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.evaluate.metrics import Bools, Calibration, ClassCounts, Scores, calibration_lines
from stages.evaluate.params import EvaluateParams
from stages.evaluate.scoring import Scored, means_at
from stages.evaluate.trained.missing import Robustness, metric_names, missing_lines
from stages.evaluate.truth import Truth
from store.files.outputs import safe_cell, write_lines
from store.items.manifest import Manifest
from store.items.records import IMAGE

NOTHING = "(nothing)"


@dataclass(frozen=True)
class ClassRow:
    """One class over all seeds; `f1_std` is the sample deviation, None with a single seed."""

    name: str
    super_class: str
    support: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    f1_std: float | None


def per_class(
    classes: Sequence[str], super_classes: Mapping[str, str], seeds: Sequence[ClassCounts]
) -> Iterator[ClassRow]:
    """Yield one row per class, averaged over seeds."""
    accuracy, precision, recall = (
        np.mean([getattr(counts, name) for counts in seeds], axis=0) for name in ("accuracy", "precision", "recall")
    )
    f1 = np.stack([counts.f1 for counts in seeds])
    for at, name in enumerate(classes):
        yield ClassRow(
            name,
            super_classes.get(name, ""),
            int(seeds[0].support[at]),
            float(accuracy[at]),
            float(precision[at]),
            float(recall[at]),
            float(f1[:, at].mean()),
            float(f1[:, at].std(ddof=1)) if len(seeds) > 1 else None,
        )


def confusion_pairs(truth: Bools, predicted: Bools, classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (actual, predicted) pairs of [n, K] decisions.

    A hit gives (i, i). A missed class i gives (i, j) for every wrongly predicted class j of the same row, or
    (i, "(nothing)") when there is none: for one class per row this is the ordinary confusion matrix.
    """
    rows, actual = np.nonzero(truth)
    wrong = np.nonzero(predicted & ~truth)
    starts, ends = (np.searchsorted(wrong[0], rows, side=side).tolist() for side in ("left", "right"))
    alarms, hits = wrong[1].tolist(), predicted[rows, actual].tolist()
    for at, hit, start, end in zip(actual.tolist(), hits, starts, ends, strict=True):
        if hit or start == end:
            yield classes[at], classes[at] if hit else NOTHING
        else:
            yield from ((classes[at], classes[other]) for other in alarms[start:end])


_PATTERNS = ("image and text", "image only", "text only", "neither")


def patterns_of(manifest: Manifest, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return which of the rows [n] of the manifest have which inputs: positions within `rows`, by pattern.

    Any text field counts as text. Patterns without rows are left out.
    """
    image = manifest.keys(IMAGE)[1][rows]
    texts = [manifest.keys(field)[1][rows] for field in manifest.info.fields]
    text = np.any(texts, axis=0) if texts else np.zeros(len(rows), dtype=bool)
    kinds = 2 * ~image + ~text
    found = {name: np.flatnonzero(kinds == kind) for kind, name in enumerate(_PATTERNS)}
    return {name: places for name, places in found.items() if len(places)}


def presence_lines(
    params: EvaluateParams, scored: Scored, manifest: Manifest, names: Sequence[str]
) -> Iterator[list[str]]:
    """Yield the header and a line for each pattern: how many rows have it, and the means of the metrics over seeds."""
    yield ["pattern", "rows", *names]
    for pattern, places in patterns_of(manifest, scored.truth.rows).items():
        means = means_at(params, scored, places, names)
        yield [pattern, str(len(places)), *(f"{means[name]:.6f}" for name in names)]


_TOP = 5
_BLOCK_CELLS = 1 << 22  # of scores searched at once
_NAMES, _NUMBERS = pa.list_(pa.string()), pa.list_(pa.float32())
_ROWS = [("seed", pa.int32()), ("id", pa.string()), ("group", pa.string())]
_CLASSES = [("truth", _NAMES), ("predicted", _NAMES), ("top", _NAMES), ("top_scores", _NUMBERS)]
_VALUES = [("truth", pa.float64()), ("predicted", pa.float64())]


def write_predictions(
    path: Path, truth: Truth, groups: Sequence[str], scores: Mapping[int, Scores], decisions: Sequence[Bools]
) -> None:
    """Write one row per seed and labelled row, a seed at a time.

    Parameters
    ----------
    path : Path
    truth : Truth
    groups : sequence of str, [n]
        The name of each row's group.
    scores : mapping of int to ndarray of float32, [n, K]
        For each seed, or [n, 1] for regression.
    decisions : sequence of ndarray of bool, [n, K]
        For each seed; empty for regression.
    """
    about = {"task": truth.task, "part": truth.part, "classes": list(truth.classes), "manifest": truth.manifest}
    metadata = {b"diptych": json.dumps(about, ensure_ascii=False, sort_keys=True).encode()}
    schema = pa.schema([*_ROWS, *(_VALUES if truth.labels is None else _CLASSES)], metadata=metadata)
    classes = pa.array(truth.classes, pa.string())
    rows = [pa.array(truth.ids, pa.string()), pa.array(groups, pa.string())]
    with pq.ParquetWriter(path, schema) as writer:
        for number, (seed, each) in enumerate(scores.items()):
            if truth.labels is None:
                shown = [pa.array(truth.targets), pa.array(each[:, 0].astype(np.float64))]
            else:
                named = [_named(classes, of) for of in (truth.labels, decisions[number])]
                shown = [*named, *_top(classes, each)]
            seeds = pa.array(np.full(len(each), seed, dtype=np.int32))
            writer.write_table(pa.Table.from_arrays([seeds, *rows, *shown], schema=schema))


def top_classes(scores: Scores, count: int) -> NDArray[np.int64]:
    """Return the best classes of scores [n, K], the best first and equal ones by the lower index: [n, count or K]."""
    width = min(count, scores.shape[1])
    found = np.empty((len(scores), width), dtype=np.int64)
    step = max(1, _BLOCK_CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), step):
        left = scores[start : start + step].copy()
        for place in range(width):
            best = left.argmax(axis=1)
            found[start : start + step, place] = best
            left[np.arange(len(left)), best] = -np.inf
    return found


def _top(classes: pa.StringArray, scores: Scores) -> list[pa.ListArray]:
    top = top_classes(scores, _TOP)
    offsets = pa.array(np.arange(0, top.size + 1, top.shape[1], dtype=np.int32))
    best = np.take_along_axis(scores, top, axis=1)
    values = (classes.take(pa.array(top.ravel())), pa.array(best.ravel()))
    return [pa.ListArray.from_arrays(offsets, each) for each in values]


def _named(classes: pa.StringArray, bears: Bools) -> pa.ListArray:
    """Return the names of the classes that each row bears."""
    offsets = np.concatenate([[0], bears.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), classes.take(pa.array(np.nonzero(bears)[1])))


@dataclass(frozen=True)
class Findings:
    """What the tables are made from: the decisions of each seed (none for regression) and what came of the tests."""

    decisions: Sequence[Bools]
    calibration: Calibration | None
    robustness: Robustness


def write_folder(folder: Path, params: EvaluateParams, manifest: Manifest, scored: Scored, found: Findings) -> None:
    """Write the per-class table over all seeds; confusion and calibration of the first; presence; missing inputs.

    What a regression has not, or what was not asked for, is a header alone.
    """
    truth, names = scored.truth, metric_names(scored.truth.task, params.top_k)
    classes, decisions = manifest.info.classes, found.decisions
    groups = manifest.groups()
    write_table(folder / "missing.csv", missing_lines(names, found.robustness))
    write_table(folder / "presence.csv", presence_lines(params, scored, manifest, names))
    write_table(folder / "calibration.csv", calibration_lines(found.calibration))
    counts = [] if truth.labels is None else [ClassCounts.of(truth.labels, each) for each in decisions]
    write_table(folder / "per_class.csv", _class_lines(classes, manifest.info.super_classes, counts))
    pairs = [] if truth.labels is None else confusion_pairs(truth.labels, decisions[0], [*map(safe_cell, classes)])
    write_table(folder / "confusion.csv", _lines(("actual", "predicted"), pairs))
    named = [groups[row] for row in truth.rows.tolist()]
    write_predictions(folder / "predictions.parquet", truth, named, scored.scores, decisions)


def write_table(path: Path, lines: Iterable[Iterable[str]]) -> None:
    """Write a CSV file, header first; its cells are safe already."""
    with write_lines(path) as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)


def _lines(header: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[Iterable[str]]:
    yield header
    yield from rows


def _class_lines(
    classes: Sequence[str], super_classes: Mapping[str, str], counts: Sequence[ClassCounts]
) -> Iterator[Iterable[str]]:
    yield ["class" if each.name == "name" else each.name for each in fields(ClassRow)]
    for row in per_class(classes, super_classes, counts) if counts else ():
        yield [_cell(each) for each in astuple(row)]


def _cell(value: object) -> str:
    if isinstance(value, str):
        return safe_cell(value)
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
