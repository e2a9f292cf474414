"""Run `fit`: train one encoder on the train rows, seal its weights, write its card and its learning curve."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.contract import Progress
from stages.fit.context import FitContext, FitRows, Fitted, read_rows
from stages.fit.params import FitParams
from stages.models.encoders.artefact import Artefact, visible, visible_digest
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.running.engines import resolve_device
from stages.models.training.cause import code_of
from stages.models.training.checkpoints import Checkpoints
from stages.models.training.epochs import finals
from store import canonical_json
from store.errors import InputError
from store.files.outputs import fresh_folder, write_lines
from store.items.manifest import Manifest
from store.items.split import read_split
from store.results.cards import EntryCard


@dataclass(frozen=True)
class FitInputs:
    """What `fit` reads."""

    manifest: Path
    split: Path


@dataclass(frozen=True)
class FitOutputs:
    """What `fit` writes: the folder of weights, its git-tracked card, and the learning curve."""

    model: Path
    card: Path
    history: Path


@dataclass(frozen=True)
class FitSettings:
    """The machine's part of one `fit` run.

    Attributes
    ----------
    states : Path
        Folder for what a killed run goes on from.
    device : str
        auto, cpu, cuda or cuda:<n>.
    workers : int
        Threads that read and decode ahead.
    state_seconds : float
        After an epoch the state is saved when the last one is at least so old, and twenty times as old as it took to
        write; with 0 after every epoch.
    """

    states: Path
    device: str = "auto"
    workers: int = 2
    state_seconds: float = 5.0


def run(
    params: FitParams, inputs: FitInputs, outputs: FitOutputs, settings: FitSettings, progress: Progress
) -> EntryCard:
    """Fit one encoder and return its card.

    Raises
    ------
    InputError
        When the data cannot serve this encoder, with the reason.
    RunError
        When the training diverged.
    """
    manifest = Manifest.open(inputs.manifest)
    ids = manifest.ids()
    parts = read_split(inputs.split, ids)
    given = Inputs.of(manifest, params.row.kind, params.field)
    rows = read_rows(given, visible(parts, transductive=params.transductive))
    _refuse_other_labels(params, rows)
    about = _about(params, len(rows), visible_digest(ids, parts, transductive=params.transductive))
    device = resolve_device(settings.device)
    cause = _cause(about, rows, device)
    states = Checkpoints(settings.states, outputs.model.name, cause, settings.state_seconds)
    context = FitContext(
        outputs.model.name, params.options, params.seed, rows, device, settings.workers, progress, states
    )
    with fresh_folder(outputs.model) as folder:
        fitted = params.row.fit(context, folder)
        artefact = Artefact(folder, **about).seal()
    card = _card(artefact, fitted)
    _write_history(outputs.history, fitted)
    card.write(outputs.card)
    states.clear()
    return card


def _refuse_other_labels(params: FitParams, rows: FitRows) -> None:
    tasks = params.row.tasks
    if tasks and rows.task not in tasks:
        raise InputError(
            f"fit: expected a task among {list(tasks)} for encoder {params.encoder!r}; found {rows.task!r}; "
            "choose another encoder, or prepare other labels."
        )
    if tasks and not rows.labelled.any():
        raise InputError(
            f"fit: expected labelled train rows for encoder {params.encoder!r}; found none; check the label column."
        )


def _about(params: FitParams, rows: int, train: str) -> dict[str, Any]:
    """Return the record of an artefact but for its files."""
    return {
        "encoder": params.encoder,
        "field": params.field,
        "seed": params.seed,
        "options": params.options.model_dump(mode="json"),
        "transductive": params.transductive,
        "rows": rows,
        "train": train,
        "code_version": params.row.code_version,
        "libraries": {name: version(name) for name in params.row.libraries},
    }


def _cause(about: dict[str, Any], rows: FitRows, device: str) -> str:
    """Digest all that decides the weights: a state of another cause must not be taken up."""
    cause = {**about, "content": rows.content, "device": device.partition(":")[0], "code": code_of(__name__)}
    return hashlib.sha256(canonical_json(cause)).hexdigest()


def _card(artefact: Artefact, fitted: Fitted) -> EntryCard:
    names = ("encoder", "field", "seed", "transductive", "train", "digest")
    epochs = {"epochs": len(fitted.history)} if fitted.history else {}
    made_of = {name: getattr(artefact, name) for name in names}
    return EntryCard(finals(list(fitted.history)), {"rows": artefact.rows, **epochs}, made_of) | fitted.card


def _write_history(path: Path, fitted: Fitted) -> None:
    with write_lines(path) as stream:
        curve = csv.writer(stream, lineterminator="\n")
        curve.writerow(["epoch", "train_loss", "valid_loss", "valid_accuracy"])
        for each in fitted.history:
            values = (each.train_loss, each.valid_loss, each.valid_accuracy)
            curve.writerow([each.epoch, *("" if math.isnan(value) else f"{value:.6f}" for value in values)])
