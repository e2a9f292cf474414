"""Run `evaluate`: read predictions and truth, compute every metric per seed, write means, deviations and tables."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.errors import InputError
from stages.evaluate.conditions import TrainedInputs
from stages.evaluate.inside import Inside, Look
from stages.evaluate.intervals import f1_interval, mse_interval
from stages.evaluate.metrics import Bools, ClassCounts, Scores
from stages.evaluate.outcomes import Robustness, metric_names, missing_lines
from stages.evaluate.params import EvaluateParams
from stages.evaluate.readings import Truth, read_predictions
from stages.evaluate.scoring import evaluate, over_seeds
from stages.evaluate.tables import ClassRow, confusion_pairs, per_class
from stages.evaluate.thresholds import tune_threshold
from stages.items import Manifest
from stages.outputs import fresh_folder, safe_cell, write_json, write_lines
from stages.parts import read_split


@dataclass(frozen=True)
class EvaluateInputs:
    """What `evaluate` reads; `trained` is needed to test missing inputs and to look inside."""

    manifest: Path
    split: Path
    predictions: Path
    trained: TrainedInputs | None = None


@dataclass(frozen=True)
class EvaluateOutputs:
    """What `evaluate` writes: flat metrics, and a folder of tables as `_write_tables` lists them."""

    metrics: Path
    tables: Path


@dataclass(frozen=True)
class EvaluateSettings:
    """What does not change results beyond rounding: the device, auto, cpu, cuda or cuda:<n>."""

    device: str = "auto"


def run(
    params: EvaluateParams,
    inputs: EvaluateInputs,
    outputs: EvaluateOutputs,
    settings: EvaluateSettings,
    progress: Progress,
) -> dict[str, Any]:
    """Evaluate one experiment.

    Raises
    ------
    RunError
        When the predictions do not belong to this manifest and split, or the models are not those that made them.
    InputError
        When the part has no labelled rows, or there are no predictions, or no models where inputs shall be missing.
    """
    manifest = Manifest.open(inputs.manifest)
    parts = read_split(inputs.split, manifest.ids())
    truth = Truth.read(manifest, parts, params.part)
    about, scores = read_predictions(inputs.predictions, truth)
    tuned = _thresholds(params, inputs.predictions, manifest, parts)
    fixed = params.threshold if params.threshold != "dev" else 0.5  # dev is for several labels; the others need none
    thresholds = {seed: tuned.get(seed, fixed) for seed in scores}
    seeds = {seed: evaluate(params, thresholds[seed], each, truth) for seed, each in scores.items()}
    decisions = [each.predicted for each in seeds.values() if each.predicted is not None]
    robustness = _robustness(params, inputs, (truth, scores, thresholds), settings, progress)
    inside = _inside(params, inputs, about["fusion"], (truth, scores, thresholds), settings, progress)
    content: dict[str, Any] = {
        **over_seeds([each.metrics for each in seeds.values()]),
        **_interval(truth, decisions, list(scores.values())),
        **truth.counts,
        **robustness.facts,
        **inside.facts,
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
    missing = missing_lines(metric_names(truth.task, params.top_k), robustness)
    _write_tables(outputs.tables, manifest, truth, decisions, missing, inside)
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


def _robustness(
    params: EvaluateParams,
    inputs: EvaluateInputs,
    scored: tuple[Truth, dict[int, Scores], dict[int, float]],
    settings: EvaluateSettings,
    progress: Progress,
) -> Robustness:
    """Test missing inputs where that is asked for; otherwise no model and no matrix is opened."""
    if params.missing is None:
        return Robustness()
    if inputs.trained is None:
        raise InputError("evaluate: expected trained models for `evaluate.missing`; found none given; set it to null.")
    # A second to import, and team-mates who pulled the predictions alone need none of it.
    from stages.evaluate.robustness import RobustnessTest, Scored
    from stages.experiment import ExperimentInputs

    trained = inputs.trained
    experiment = ExperimentInputs(inputs.manifest, inputs.split, trained.matrices, trained.digests)
    return RobustnessTest(params, params.missing, trained, experiment, Scored(*scored)).run(settings.device, progress)


def _inside(
    params: EvaluateParams,
    inputs: EvaluateInputs,
    fusion: str,
    scored: tuple[Truth, dict[int, Scores], dict[int, float]],
    settings: EvaluateSettings,
    progress: Progress,
) -> Inside:
    """Look into the model where that is asked for; otherwise no model and no matrix is opened."""
    trained = inputs.trained
    if trained is None:
        if params.weights or params.tsne is not None:
            raise InputError(
                "evaluate: expected trained models for `evaluate.weights` and `evaluate.tsne`; found none given; set "
                "them to false and null."
            )
        return Inside()
    look = Look.asked(params, trained.name, fusion)
    if not look:
        return Inside()
    from stages.evaluate.inside_models import look_inside
    from stages.evaluate.robustness import Scored
    from stages.experiment import ExperimentInputs

    experiment = ExperimentInputs(inputs.manifest, inputs.split, trained.matrices, trained.digests)
    return look_inside(look, trained, experiment, Scored(*scored), settings.device, progress)


def _interval(truth: Truth, decisions: Sequence[Bools], scores: Sequence[Scores]) -> dict[str, float]:
    """Return the ends of the main metric's interval over draws of test groups."""
    if truth.targets is not None:
        low, high = mse_interval([each[:, 0] - truth.targets for each in scores], truth.groups)
        return {"mse_low": round(low, 6), "mse_high": round(high, 6)}
    labels = truth.labels if truth.labels is not None else np.zeros((len(truth.ids), 0), dtype=bool)
    low, high = f1_interval(labels, decisions, truth.groups)
    return {"f1_macro_low": round(low, 6), "f1_macro_high": round(high, 6)}


def _write_tables(
    folder: Path,
    manifest: Manifest,
    truth: Truth,
    decisions: Sequence[Bools],
    missing: Iterable[list[str]],
    inside: Inside,
) -> None:
    """Write the per-class table over all seeds, the confusion of the first, missing inputs, and what is inside.

    The first two are headers only for regression, the others where they were not asked for.
    """
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
        with write_lines(fresh / "missing.csv") as stream:
            csv.writer(stream, lineterminator="\n").writerows(missing)
        inside.write(fresh)


def _cell(value: object) -> str:
    if isinstance(value, str):
        return safe_cell(value)
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
