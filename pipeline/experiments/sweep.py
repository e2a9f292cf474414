"""`diptych sweep GRID.yaml`: train and evaluate a grid of experiments from the cached features, and write one table."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.experiments.grid import Trial, expand, read_grid
from pipeline.journal.console import PlainTable, out
from pipeline.verbs import Session
from pipeline.wiring import stated_digests
from stages.evaluate.params import EvaluateParams
from stages.models.catalog import did_you_mean
from stages.models.training.cause import code_of
from store import canonical_json
from store.errors import InputError, RunError
from store.files.outputs import safe_cell, write_json, write_lines
from store.results.cards import EntryCard

_RUN = ("stages.train.run", "stages.evaluate.run")
_MAIN = ("f1_macro", "mse")
_NAMED = ("features", "fusion", "head", "seeds")
# What restores models is asked of experiments that are kept; a trial has its numbers alone.
_NOT_ASKED: Mapping[str, Any] = {"missing": None, "weights": False, "tsne": None}


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: the numbers on the card of `evaluate`, or why there are none."""

    trial: Trial
    key: str
    metrics: Mapping[str, float]
    refused: str = ""

    @property
    def main(self) -> str:
        """The metric that orders the table."""
        return next((name for name in _MAIN if name in self.metrics), "")


def sweep(grid: Path, session: Session) -> list[Outcome]:
    """Run what is not known yet, and write `<grid>.csv` (the table) and `<grid>.json` (what it was made from).

    Equal inputs give equal bytes. Finished trials are kept in `.diptych/sweep` by the digest of all that decides them:
    a grid that grew, or a run that was killed, costs only what is new.

    Raises
    ------
    InputError
        When the grid is wrong, its features are not in params.yaml or not made yet, or no cell of it is possible.
    """
    trials = expand(read_grid(grid))
    _refuse_unknown_features(trials, session)
    outcomes = []
    for number, trial in enumerate(trials, 1):
        outcome = _outcome(trial, session)
        outcomes.append(outcome)
        out.print(f"[{number}/{len(trials)}] {trial.label}: {_said(outcome)}", markup=False)
    if not any(each.metrics for each in outcomes):
        raise InputError(
            f"{grid}: expected at least one possible experiment; found {len(outcomes)} that were refused, the first "
            f"because: {outcomes[0].refused.rstrip('.')}."
        )
    ranked = _ranked(outcomes)
    _write_table(grid.with_suffix(".csv"), ranked)
    write_json(grid.with_suffix(".json"), _lineage(grid, ranked, session))
    return ranked


def _refuse_unknown_features(trials: Sequence[Trial], session: Session) -> None:
    known = session.params.matrices.producer_of
    for name in dict.fromkeys(name for trial in trials for name in trial.content["features"]):
        if name not in known:
            near = did_you_mean(name, known)
            raise InputError(f"sweep: expected features of params.yaml; found {name!r}{near}; there are {[*known]}.")


def _outcome(trial: Trial, session: Session) -> Outcome:
    if trial.params is None:
        return Outcome(trial, "", {}, trial.refused)
    key = hashlib.sha256(canonical_json(_cause(trial, session))).hexdigest()
    folder = paths.SWEEPS / key[:32]
    card = folder / "metrics.json"
    try:
        if not card.is_file():
            _run(trial, folder, session)
    except (InputError, RunError) as error:  # one impossible or diverging cell must not end the sweep: it is told
        shutil.rmtree(folder, ignore_errors=True)
        return Outcome(trial, key, {}, str(error))
    return Outcome(trial, key, EntryCard.read(card).numbers)


def _cause(trial: Trial, session: Session) -> dict[str, Any]:
    """Return all that decides a trial's numbers: inputs, parameters and code."""
    params = session.params
    return {
        "experiment": dict(trial.content),
        "matrices": list(stated_digests(params.matrices, trial.content["features"])),
        "manifest": _digest(paths.MANIFEST),
        "split": _digest(paths.PARTS),
        "evaluate": _written_rule(session),
        "code": _code_digest(),
    }


def _rule(session: Session) -> EvaluateParams:
    """Return how trials are scored."""
    return session.params.evaluate.model_copy(update=_NOT_ASKED)


def _written_rule(session: Session) -> dict[str, Any]:
    return session.params.evaluate.model_dump(mode="json", exclude=set(_NOT_ASKED))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise InputError(f"sweep: expected {path}; found no file; run `dvc repro` first.") from None


def _code_digest() -> str:
    return hashlib.sha256(canonical_json(code_of(*_RUN))).hexdigest()


def _run(trial: Trial, folder: Path, session: Session) -> None:
    from stages.evaluate import run as evaluate
    from stages.models.experiment import ExperimentInputs
    from stages.models.training.checkpoints import TrainingSettings
    from stages.train import run as train

    params, matrices = trial.params, session.params.matrices
    if params is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    digests = stated_digests(matrices, params.features)
    inputs = ExperimentInputs(paths.MANIFEST, paths.PARTS, matrices.features(params.features), digests)
    predictions = folder / "predictions.parquet"
    outputs = train.TrainOutputs(folder / "model", predictions, folder / "history.csv")
    train.run(params, inputs, outputs, TrainingSettings(session.settings.device), session.progress)
    read = evaluate.EvaluateInputs(paths.MANIFEST, paths.PARTS, predictions)
    scored = evaluate.EvaluateOutputs(folder / "metrics.json", folder / "tables")
    evaluate.run(_rule(session), read, scored, evaluate.EvaluateSettings(), session.progress)
    shutil.rmtree(folder / "model")  # a table needs none; the experiment goes to params.yaml to be kept


def _said(outcome: Outcome) -> str:
    if not outcome.metrics:
        return f"refused: {outcome.refused}"
    name, values = outcome.main, outcome.metrics
    return f"{name} {values[name]:.3f} [{values[f'{name}_low']:.3f}, {values[f'{name}_high']:.3f}]"


def _ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Order by the main metric, best first; what was refused goes last, as listed."""
    done = [each for each in outcomes if each.metrics]
    lower = done[0].main == "mse"
    done.sort(key=lambda each: (each.metrics[each.main] * (1 if lower else -1), each.trial.label))
    return [*done, *(each for each in outcomes if not each.metrics)]


def _write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    main = outcomes[0].main
    options = list(dict.fromkeys(key for each in outcomes for key in each.trial.content))
    numbers = [main, f"{main}_low", f"{main}_high", f"{main}_std", "seeds", "rows"]
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*options, *numbers, "refused"])
        for each in outcomes:
            said = [safe_cell(_cell(each.trial.content.get(key, ""))) for key in options]
            writer.writerow([*said, *(each.metrics.get(name, "") for name in numbers), safe_cell(each.refused)])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " + ".join(map(str, value))
    return str(value)


def _lineage(grid: Path, outcomes: Sequence[Outcome], session: Session) -> dict[str, Any]:
    names = dict.fromkeys(name for each in outcomes for name in each.trial.content["features"])
    return {
        "grid": _digest(grid),
        "manifest": _digest(paths.MANIFEST),
        "split": _digest(paths.PARTS),
        "code": _code_digest(),
        "evaluate": _written_rule(session),
        "matrices": {name: stated_digests(session.params.matrices, [name])[0] for name in names},
        "trials": [each.key for each in outcomes if each.metrics],
    }


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print the table for a terminal, best first."""
    main = outcomes[0].main
    table = PlainTable("features", "fusion", "head", "options", numbers=(main, "95 % interval", "± seeds"))
    for each in outcomes:
        content, values = each.trial.content, each.metrics
        if not values:
            continue
        options = ", ".join(f"{key}={value}" for key, value in content.items() if key not in _NAMED)
        spread = f"{values[f'{main}_std']:.3f}" if f"{main}_std" in values else ""
        interval = f"{values[f'{main}_low']:.3f} to {values[f'{main}_high']:.3f}"
        row = (_cell(content["features"]), content["fusion"], content["head"], options)
        table.add_row(*row, f"{values[main]:.3f}", interval, spread)
    out.print(table)
    refused = sum(not each.metrics for each in outcomes)
    if refused:
        out.print(f"{refused} of {len(outcomes)} combinations were refused; the table says why", markup=False)
