"""Run `evaluate`: read predictions and truth, compute every metric per seed, write means, deviations and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.evaluate.metrics import Calibration
from stages.evaluate.params import EvaluateParams
from stages.evaluate.scoring import Scored, evaluate, interval_ends, means_at, over_seeds, tune_threshold
from stages.evaluate.tables import Findings, write_folder
from stages.evaluate.trained.inside import Inside, Look
from stages.evaluate.trained.missing import Robustness, TrainedInputs, metric_names
from stages.evaluate.truth import Truth, scores_of
from store.errors import InputError
from store.files.outputs import fresh_folder
from store.files.reading import file_digest
from store.items.manifest import Manifest
from store.items.split import read_split
from store.results.cards import EntryCard


@dataclass(frozen=True)
class EvaluateInputs:
    """What `evaluate` reads; `trained` is needed to test missing inputs and to look inside."""

    manifest: Path
    split: Path
    predictions: Path
    trained: TrainedInputs | None = None


@dataclass(frozen=True)
class EvaluateOutputs:
    """What `evaluate` writes: its card, and a folder of tables."""

    card: Path
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
) -> EntryCard:
    """Evaluate one experiment and return its card.

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
    about, scores = scores_of(inputs.predictions, truth)
    tuned = _thresholds(params, inputs.predictions, manifest, parts)
    fixed = params.threshold if params.threshold != "dev" else 0.5  # dev is for several labels; the others need none
    scored = Scored(truth, scores, {seed: tuned.get(seed, fixed) for seed in scores})
    seeds = {seed: evaluate(params, scored.thresholds[seed], each, truth) for seed, each in scores.items()}
    decisions = [each.predicted for each in seeds.values() if each.predicted is not None]
    calibrations = _calibrations(scored)
    robustness = _robustness(params, inputs, scored, settings, progress)
    inside = _inside(params, inputs, about["fusion"], scored, settings, progress)
    calibrated = [each.metrics for each in calibrations] or [{} for _ in seeds]
    metrics: dict[str, Any] = {
        **over_seeds([{**each.metrics, **more} for each, more in zip(seeds.values(), calibrated, strict=True)]),
        **interval_ends(truth, list(scores.values()), decisions, params.top_k),
        **_untrained(params, scored),
        **({"missing": robustness.lost} if robustness.lost else {}),
    }
    made_of = {
        **robustness.facts,
        **inside.facts,
        "part": params.part,
        "fallback": params.fallback,
        "threshold": scored.thresholds[next(iter(seeds))],  # the first seed's, as in the tables
        "task": manifest.info.task,
        "features": " + ".join(about["features"]),
        "fusion": about["fusion"],
        "head": about["head"],
        "predictions_digest": file_digest(inputs.predictions),
    }
    card = EntryCard(metrics, {**truth.counts, "seeds": len(seeds)}, made_of)
    found = Findings(decisions, calibrations[0] if calibrations else None, robustness)
    with fresh_folder(outputs.tables) as fresh:
        write_folder(fresh, params, manifest, scored, found)
        inside.write(fresh)
    card.write(outputs.card)
    return card


def _thresholds(
    params: EvaluateParams, predictions: Path, manifest: Manifest, parts: NDArray[np.str_]
) -> dict[int, float]:
    """Return the tuned threshold of each seed, or nothing when the params give a number or the task needs none."""
    if params.threshold != "dev" or manifest.info.task != "multilabel":
        return {}
    dev = Truth.read(manifest, parts, "dev")
    _, scores = scores_of(predictions, dev)
    return {seed: tune_threshold(dev.labels, each) for seed, each in scores.items()} if dev.labels is not None else {}


def _calibrations(scored: Scored) -> list[Calibration]:
    """Return that of each seed; none for regression."""
    truth = scored.truth
    if truth.labels is None:
        return []
    return [Calibration.of(each, truth.labels, single=truth.task == "multiclass") for each in scored.scores.values()]


def _untrained(params: EvaluateParams, scored: Scored) -> dict[str, float]:
    """Return the metrics of rows of unseen classes, and of the others; docs/systems/evaluation.md#unseen-classes."""
    strange, names = scored.truth.untrained, metric_names(scored.truth.task, params.top_k)
    if not strange.any():
        return {}
    found: dict[str, float] = {}
    for word, rows in (("only", np.flatnonzero(strange)), ("excluded", np.flatnonzero(~strange))):
        means = means_at(params, scored, rows, names) if len(rows) else {}
        found |= {f"untrained_{word}_{name}": value for name, value in means.items()}
    return found


def _robustness(
    params: EvaluateParams,
    inputs: EvaluateInputs,
    scored: Scored,
    settings: EvaluateSettings,
    progress: Progress,
) -> Robustness:
    """Test missing inputs where that is asked for; otherwise no model and no matrix is opened."""
    if params.missing is None:
        return Robustness()
    if inputs.trained is None:
        raise InputError("evaluate: expected trained models for `evaluate.missing`; found none given; set it to null.")
    # A second to import, and team-mates who pulled the predictions alone need none of it.
    from stages.evaluate.trained.robustness import RobustnessTest
    from stages.models.experiment import ExperimentInputs

    trained = inputs.trained
    experiment = ExperimentInputs(inputs.manifest, inputs.split, trained.matrices, trained.digests)
    return RobustnessTest(params, params.missing, trained, experiment, scored).run(settings.device, progress)


def _inside(
    params: EvaluateParams,
    inputs: EvaluateInputs,
    fusion: str,
    scored: Scored,
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
    from stages.evaluate.trained.looking import look_inside
    from stages.models.experiment import ExperimentInputs

    experiment = ExperimentInputs(inputs.manifest, inputs.split, trained.matrices, trained.digests)
    return look_inside(look, trained, experiment, scored, settings.device, progress)
