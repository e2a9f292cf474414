"""Run `evaluate`: read predictions and truth, compute every metric per seed, write means, deviations and tables."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.decisions import decide
from stages.evaluate.intervals import f1_interval, mse_interval
from stages.evaluate.metrics import (
    Bools,
    ClassCounts,
    Scores,
    multiclass_metrics,
    multilabel_metrics,
    one_hot,
    regression_metrics,
)
from stages.evaluate.params import EvaluateParams
from stages.evaluate.readings import Truth, read_predictions
from stages.evaluate.tables import ClassRow, confusion_pairs, per_class
from stages.evaluate.thresholds import tune_threshold
from stages.items import Manifest
from stages.outputs import fresh_folder, safe_cell, write_json, write_lines
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
        When the part has no labelled rows, or there are no predictions.
    """
    manifest = Manifest.open(inputs.manifest)
    parts = read_split(inputs.split, manifest.ids())
    truth = Truth.read(manifest, parts, params.part)
    about, scores = read_predictions(inputs.predictions, truth)
    tuned = _thresholds(params, inputs.predictions, manifest, parts)
    fixed = params.threshold if params.threshold != "dev" else 0.5  # dev is for several labels; the others need none
    thresholds = {seed: tuned.get(seed, fixed) for seed in scores}
    seeds = {seed: _evaluate(params, thresholds[seed], each, truth) for seed, each in scores.items()}
    decisions = [each.predicted for each in seeds.values() if each.predicted is not None]
    content: dict[str, Any] = {
        **_over_seeds([each.metrics for each in seeds.values()]),
        **_interval(truth, decisions, list(scores.values())),
        **truth.counts,
        "seeds": len(seeds),
        "part": params.part,
        "fallback": params.fallback,
        "threshold": thresholds[next(iter(seeds))],  # the first seed's, as in the tables
        "task": manifest.info.task,
        "features": " + ".join(about["features"]),
        "fusion": about["fusion"],
        "head": about["head"],
        "predictions_digest": hashlib.sha256(inputs.predictions.read_bytes()).hexdigest(),
    }
    _write_tables(outputs.tables, manifest, truth, decisions)
    write_json(outputs.metrics, content)
    return content


def _thresholds(
    params: EvaluateParams, predictions: Path, manifest: Manifest, parts: NDArray[np.str_]
) -> dict[int, float]:
    """Return the tuned threshold of each seed, or nothing when the params give a number or the task needs none."""
    if params.threshold != "dev" or manifest.info.task != "multilabel":
        return {}
    dev = Truth.read(manifest, parts, "dev")
    _, scores = read_predictions(predictions, dev)
    return {seed: tune_threshold(dev.labels, each) for seed, each in scores.items()} if dev.labels is not None else {}


def _evaluate(params: EvaluateParams, threshold: float, scores: Scores, truth: Truth) -> _Evaluated:
    if truth.targets is not None:
        return _Evaluated(regression_metrics(scores[:, 0], truth.targets), None)
    labels = truth.labels if truth.labels is not None else np.zeros(scores.shape, dtype=bool)
    if truth.task == "multiclass":
        metrics = multiclass_metrics(scores, labels.argmax(axis=1), params.top_k)
        return _Evaluated(metrics, one_hot(scores.argmax(axis=1), scores.shape[1]))
    predicted = decide(scores, threshold, params.fallback)
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


def _interval(truth: Truth, decisions: Sequence[Bools], scores: Sequence[Scores]) -> dict[str, float]:
    """Return the ends of the main metric's interval over draws of test groups."""
    if truth.targets is not None:
        low, high = mse_interval([each[:, 0] - truth.targets for each in scores], truth.groups)
        return {"mse_low": round(low, 6), "mse_high": round(high, 6)}
    labels = truth.labels if truth.labels is not None else np.zeros((len(truth.ids), 0), dtype=bool)
    low, high = f1_interval(labels, decisions, truth.groups)
    return {"f1_macro_low": round(low, 6), "f1_macro_high": round(high, 6)}


def _write_tables(folder: Path, manifest: Manifest, truth: Truth, decisions: Sequence[Bools]) -> None:
    """Write the per-class table over all seeds and the confusion of the first; headers only for regression."""
    classes = manifest.info.classes
    with fresh_folder(folder) as fresh:
        with write_lines(fresh / "per_class.csv") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["class" if each.name == "name" else each.name for each in fields(ClassRow)])
            if truth.labels is not None:
                counts = [ClassCounts.of(truth.labels, each) for each in decisions]
                for row in per_class(classes, manifest.info.super_classes, counts):
                    writer.writerow(_cell(each) for each in astuple(row))
        with write_lines(fresh / "confusion.csv") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["actual", "predicted"])
            if truth.labels is not None:
                pairs = confusion_pairs(truth.labels, decisions[0], classes)
                writer.writerows((safe_cell(actual), safe_cell(predicted)) for actual, predicted in pairs)


def _cell(value: object) -> str:
    if isinstance(value, str):
        return safe_cell(value)
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
