"""Run `train`: for each seed fit fusion and head on train rows, save the model, score dev and test rows."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.contract import PARTS, Progress
from stages.models.encoders.running.engines import resolve_device
from stages.models.experiment import RECIPE, Data, ExperimentInputs, read_data
from stages.models.fusions.catalog import ModelSpec, option_keys
from stages.models.fusions.model import FusedModel
from stages.models.heads.catalog import HEADS, task_refusal
from stages.models.heads.model import LabelledRows, Problem, blocks_of
from stages.models.training.cause import training_cause
from stages.models.training.checkpoints import Checkpoints, TrainingSettings
from stages.models.training.epochs import Epoch, Watch
from stages.train.params import TrainParams
from store import atomic_output
from store.errors import InputError, RunError
from store.files.outputs import fresh_folder, write_json, write_lines
from store.files.reading import file_digest
from store.results.predictions import PredictionWriter


@dataclass(frozen=True)
class TrainOutputs:
    """What `train` writes: one folder per seed, predictions for dev and test, the learning curves."""

    model: Path
    predictions: Path
    history: Path


def run(
    params: TrainParams, inputs: ExperimentInputs, outputs: TrainOutputs, settings: TrainingSettings, progress: Progress
) -> dict[str, int]:
    """Train one experiment; a run that was killed resumes after its last finished seed and last saved epoch.

    Raises
    ------
    InputError
        When the data cannot serve this experiment, with the reason.
    RunError
        When the training diverged.
    """
    data = read_data(inputs, params.fusion)
    _refuse_other_task(params, data)
    _refuse_unfit_head(params, data)
    device = resolve_device(settings.device)
    train, dev = data.rows("train"), data.rows("dev")
    name = outputs.predictions.stem
    states = _states(params, data, device, settings, name)
    with (
        fresh_folder(outputs.model) as folder,
        atomic_output(outputs.predictions) as file,
        PredictionWriter(file, _about(name, params, data, file_digest(inputs.manifest))) as writer,
        write_lines(outputs.history) as history,
    ):
        write_json(folder / RECIPE, _recipe(params, data))
        curve = csv.writer(history, lineterminator="\n")
        curve.writerow(["seed", "epoch", "train_loss", "valid_loss", *_more(params.recipe)])
        for seed in params.seeds:
            model = FusedModel(data.layout, params.recipe, Problem(data.task, data.outputs, seed, device))
            watch = Watch(f"train {name}, seed {seed}", progress, states and states.part(f"seed-{seed}"))
            curve.writerows([seed, *line] for line in _fit(model, (train, dev), watch, folder / f"seed-{seed}"))
            _predict(model, data, seed, writer)
    if states is not None:
        states.clear()
    return {"train": len(train), "dev": len(dev), "seeds": len(params.seeds)}


def _states(params: TrainParams, data: Data, device: str, settings: TrainingSettings, name: str) -> Checkpoints | None:
    """Open the states of this experiment; more seeds, or fewer, do not change those of each."""
    if settings.states is None:
        return None
    about = {key: value for key, value in _recipe(params, data).items() if key != "seeds"}
    facts = {**about, "matrices": [each.digest for each in data.matrices]}
    cause = training_cause(__name__, facts, (data.targets, data.labelled, data.parts), device)
    return Checkpoints(settings.states, name, cause, settings.state_seconds)


def _fit(model: FusedModel, rows: tuple[LabelledRows, LabelledRows], watch: Watch, folder: Path) -> list[list[str]]:
    """Fit the model and save it in `folder`, or take what a killed run had finished; return its learning curve."""
    done = None if watch.checkpoints is None else watch.checkpoints.finished(folder)
    if done is not None:
        model.restore(folder)
        lines: list[list[str]] = done["curve"]
        return lines
    model.fit(*rows, watch)
    folder.mkdir()
    model.save(folder)
    lines = [_line(each, model.recipe) for each in model.history]
    if watch.checkpoints is not None:
        watch.checkpoints.finish(folder, {"curve": lines})
    return lines


def _more(recipe: ModelSpec) -> list[str]:
    """Return the columns of the learning curve beyond the losses."""
    return ["valid_top_5"] if recipe.training and recipe.training.monitor == "top_5" else []


def _line(epoch: Epoch, recipe: ModelSpec) -> list[str]:
    measured = [epoch.train_loss, epoch.valid_loss, epoch.valid_accuracy][: 2 + len(_more(recipe))]
    return [str(epoch.epoch), *("" if np.isnan(value) else f"{value:.6f}" for value in measured)]


def _refuse_other_task(params: TrainParams, data: Data) -> None:
    if params.task and params.task != data.task:
        raise InputError(
            f"train: expected task {data.task!r}, which the manifest's labels give; found `task: {params.task}`; "
            "remove the key or prepare other labels."
        )


def _refuse_unfit_head(params: TrainParams, data: Data) -> None:
    if params.head in HEADS and (refusal := task_refusal(params.head, data.task)):
        raise InputError(f"train: {refusal} in the manifest; choose another head or prepare other labels.")


def _about(name: str, params: TrainParams, data: Data, manifest: str) -> dict[str, object]:
    return {
        "experiment": name,
        "task": data.task,
        "classes": list(data.classes),
        "manifest": manifest,
        "features": params.features,
        "fusion": params.fusion,
        "head": params.head,
    }


def _recipe(params: TrainParams, data: Data) -> dict[str, object]:
    """Return what the models are made of, with the options that params.yaml left to their defaults."""
    recipe, given = params.recipe, params.model_dump(mode="json", include=set(TrainParams.model_fields))
    chosen = [each for each in (recipe.fusion_options, recipe.head_options) if each is not None]
    keys = option_keys(params.fusion, params.head)
    options = {key: value for each, taken in zip(keys, chosen, strict=True) for key, value in each.written(taken)}
    layout = [block.as_json() for block in data.layout]
    return {**given, "options": options, "layout": layout, "classes": list(data.classes), "task": data.task}


def _predict(model: FusedModel, data: Data, seed: int, writer: PredictionWriter) -> None:
    """Score every dev and test row, the unlabelled ones too, a block at a time.

    Raises
    ------
    RunError
        When a score is not finite.
    """
    for part in PARTS[1:]:
        rows = np.flatnonzero(data.parts == part)
        start = 0
        for block in blocks_of(data.features(rows)):
            here = rows[start : start + len(block)]
            start += len(block)
            scores = model.scores(block)
            if not np.isfinite(scores).all():
                raise RunError(
                    f"train: expected finite scores; found NaN or infinity with seed {seed}: the training diverged; "
                    "lower `lr` or choose another `scale`."
                )
            writer.write(seed, [data.ids[row] for row in here], data.parts[here], scores)
