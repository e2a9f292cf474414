"""Run `evaluate`: read predictions and truth, compute every metric per seed, write means, deviations and tables."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.errors import InputError, RunError
from stages.evaluate.metrics import (
    Bools,
    ClassCounts,
    Floats,
    decide,
    multiclass_metrics,
    multilabel_metrics,
    one_hot,
    regression_metrics,
)
from stages.evaluate.params import EvaluateParams
from stages.evaluate.tables import ClassRow, confusion_pairs, per_class
from stages.items import Manifest
from stages.outputs import fresh_folder, write_json, write_lines
from stages.parts import read_split


@dataclass(frozen=True)
class EvaluateInputs:
    """What `evaluate` reads."""

    manifest: Path
    split: Path
    predictions: Path


@dataclass(frozen=True)
class EvaluateOutputs:
    """What `evaluate` writes: flat metrics, and a folder with `per_class.csv` and `confusion.csv`."""

    metrics: Path
    tables: Path


@dataclass(frozen=True)
class _Evaluated:
    """One seed: its metrics, and for classification its decisions [n, K]."""

    metrics: dict[str, float]
    predicted: Bools | None


def run(params: EvaluateParams, inputs: EvaluateInputs, outputs: EvaluateOutputs) -> dict[str, Any]:
    """Evaluate one experiment.

    Raises
    ------
    RunError
        When the predictions do not belong to this manifest and split.
    InputError
        When the part has no labelled rows.
    """
    manifest = Manifest.open(inputs.manifest)
    truth = _Truth.read(manifest, read_split(inputs.split, manifest.ids()), params.part)
    about, scores = _read_predictions(inputs.predictions, truth, params.part)
    seeds = {seed: _evaluate(params, manifest.info.task, each, truth) for seed, each in scores.items()}
    content: dict[str, Any] = {
        **_over_seeds([each.metrics for each in seeds.values()]),
        **truth.counts,
        "seeds": len(seeds),
        "part": params.part,
        "threshold": params.threshold,
        "task": manifest.info.task,
        "features": " + ".join(about["features"]),
        "fusion": about["fusion"],
        "head": about["head"],
        "predictions_digest": hashlib.sha256(inputs.predictions.read_bytes()).hexdigest(),
    }
    decisions = [each.predicted for each in seeds.values() if each.predicted is not None]
    _write_tables(outputs.tables, manifest, truth, decisions)
    write_json(outputs.metrics, content)
    return content


@dataclass(frozen=True)
class _Truth:
    """The labelled rows of the evaluated part; `labels` is bool [n, K], or None for regression."""

    ids: list[str]
    labels: Bools | None
    targets: Floats | None
    counts: dict[str, int]

    @classmethod
    def read(cls, manifest: Manifest, parts: NDArray[np.str_], part: str) -> _Truth:
        labelled = manifest.labelled()
        rows = np.flatnonzero((parts == part) & labelled)
        if not len(rows):
            raise InputError(f"evaluate: expected labelled {part} rows; found none; check the split and the labels.")
        ids = manifest.ids()
        counts = {"rows": len(rows), "unlabelled": int(((parts == part) & ~labelled).sum())}
        kept = [ids[row] for row in rows]
        if manifest.info.task == "regression":
            return cls(kept, None, manifest.targets()[rows], counts)
        labels = manifest.label_matrix()
        # A class that train never shows cannot be learned: its rows stay in the metrics and are counted.
        untrained = ~labels[(parts == "train") & labelled].any(axis=0)
        counts["untrained_classes"] = int((untrained & labels[rows].any(axis=0)).sum())
        counts["untrained_rows"] = int(labels[rows][:, untrained].any(axis=1).sum())
        return cls(kept, labels[rows], None, counts)


def _read_predictions(path: Path, truth: _Truth, part: str) -> tuple[dict[str, Any], dict[int, Floats]]:
    """Return the file's metadata and, per seed, scores [n, K] in the order of the truth."""
    table = pq.read_table(path, filters=[("part", "==", part)])
    about: dict[str, Any] = json.loads(table.schema.metadata[b"diptych"])
    ids = np.asarray(table.column("id").to_pylist())
    seeds = table.column("seed").to_numpy()
    lists = table.column("scores").combine_chunks()
    flat = np.asarray(lists.flatten(), dtype=np.float64).reshape(len(ids), -1) if len(ids) else np.zeros((0, 0))
    found: dict[int, Floats] = {}
    for seed in dict.fromkeys(seeds.tolist()):
        mine = np.flatnonzero(seeds == seed)
        place = {str(name): row for name, row in zip(ids[mine], mine, strict=True)}
        absent = [name for name in truth.ids if name not in place]
        if absent:
            raise RunError(
                f"{path}: expected a prediction for each of {len(truth.ids)} {part} rows; found none for "
                f"{len(absent)} of them, such as {absent[0]!r}; run `dvc repro` to train the experiment again."
            )
        found[seed] = flat[[place[name] for name in truth.ids]]
    if not found:
        raise RunError(f"{path}: expected predictions for the {part} rows; found none; run `dvc repro`.")
    return about, found


def _evaluate(params: EvaluateParams, task: str, scores: Floats, truth: _Truth) -> _Evaluated:
    if truth.targets is not None:
        return _Evaluated(regression_metrics(scores[:, 0], truth.targets), None)
    labels = truth.labels if truth.labels is not None else np.zeros(scores.shape, dtype=bool)
    if task == "multiclass":
        metrics = multiclass_metrics(scores, labels.argmax(axis=1), params.top_k)
        return _Evaluated(metrics, one_hot(scores.argmax(axis=1), scores.shape[1]))
    predicted = decide(scores, params.threshold, params.fallback)
    return _Evaluated(multilabel_metrics(labels, predicted), predicted)


def _over_seeds(metrics: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric, and its sample deviation where there are several seeds."""
    merged: dict[str, float] = {}
    for name in metrics[0]:
        values = np.array([each[name] for each in metrics])
        merged[name] = round(float(values.mean()), 6)
        if len(values) > 1:
            merged[f"{name}_std"] = round(float(values.std(ddof=1)), 6)
    return merged


def _write_tables(folder: Path, manifest: Manifest, truth: _Truth, decisions: Sequence[Bools]) -> None:
    """Write the per-class table over all seeds and the confusion of the first; headers only for regression."""
    classes = manifest.info.classes
    with fresh_folder(folder) as fresh:
        with write_lines(fresh / "per_class.csv") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["class" if each.name == "name" else each.name for each in fields(ClassRow)])
            if truth.labels is not None:
                counts = [ClassCounts.of(truth.labels, each) for each in decisions]
                for row in per_class(classes, manifest.info.super_classes, counts):
                    writer.writerow(_rounded(each) for each in astuple(row))
        with write_lines(fresh / "confusion.csv") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["actual", "predicted"])
            if truth.labels is not None:
                writer.writerows(confusion_pairs(truth.labels, decisions[0], classes))


def _rounded(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else value
