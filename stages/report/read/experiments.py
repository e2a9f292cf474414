"""Experiments as `evaluate` scored them, their classes and predictions; and how JSON and CSV files are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.models.measures.decisions import Decision
from store.errors import InputError
from store.items.records import Task
from store.results.cards import EntryCard

_TEXTS = ("task", "features", "fusion", "head")
_COUNTS = ("rows", "seeds")


@dataclass(frozen=True)
class Experiment:
    """One experiment as `evaluate` scored it.

    Attributes
    ----------
    name, task, fusion, head : str
        As in the metrics file.
    features : tuple of str
        Names of its matrices.
    rows, seeds : int
        How many test rows and how many repetitions the means are over.
    means, deviations : mapping of str to float
        Each metric's mean and sample standard deviation over the seeds; a deviation may be missing.
    intervals : mapping of str to (float, float)
        The 95 % interval of the main metric over other groups of the same kind, where the file tells it.
    decision : Decision
        How scores became labels, where the file tells it.
    part : str
        Which part was scored, where the file tells it.
    """

    name: str
    task: Task
    features: tuple[str, ...]
    fusion: str
    head: str
    rows: int
    seeds: int
    means: Mapping[str, float]
    deviations: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    decision: Decision = field(default_factory=Decision)
    part: str = "test"


@dataclass(frozen=True)
class ClassScore:
    """One row of `per_class.csv`; the accuracy is None where the file does not tell it."""

    label: str
    support: int
    f1: float
    accuracy: float | None = None


@dataclass(frozen=True)
class Predictions:
    """The scores of one experiment's first seed on the scored part.

    Attributes
    ----------
    seed : int
        Which seed it was.
    ids : list of str, length n
        The items.
    scores : float32 [n, K]
        One column per class of the manifest; one column for a regression.
    """

    seed: int
    ids: list[str]
    scores: NDArray[np.float32]


def read_experiments(files: Sequence[Path]) -> list[Experiment]:
    """Read the metrics of some experiments, in their order.

    Raises
    ------
    InputError
        When there is none, one lacks what the report needs, or they do not share one task.
    """
    if not files:
        raise InputError("expected the metrics of at least one experiment, found none; run `diptych evaluate`")
    experiments = [_experiment(path, EntryCard.read(path)) for path in files]
    tasks = {experiment.task: experiment.name for experiment in experiments}
    if len(tasks) > 1:
        found = " and ".join(f"{task} ({name})" for task, name in sorted(tasks.items()))
        raise InputError(f"expected experiments of one task, found {found}; run `diptych evaluate` again")
    return experiments


def _experiment(path: Path, card: EntryCard) -> Experiment:
    made_of, counts = card.made_of, card.counts
    told = [*((key, str, made_of) for key in _TEXTS), *((key, int, counts) for key in _COUNTS)]
    for key, kind, part in told:
        if not isinstance(part.get(key), kind):
            raise InputError(
                f"expected {key!r} as {'text' if kind is str else 'a whole number'} in {path}, "
                f"found {part.get(key)!r}; run `diptych evaluate {path.stem}` again"
            )
    if made_of["task"] not in get_args(Task):
        raise InputError(f"expected a task among {', '.join(get_args(Task))} in {path}, found {made_of['task']!r}")
    return Experiment(
        name=path.stem,
        task=made_of["task"],
        features=tuple(part.strip() for part in made_of["features"].split(" + ") if part.strip()),
        fusion=made_of["fusion"],
        head=made_of["head"],
        rows=counts["rows"],
        seeds=counts["seeds"],
        means=card.means,
        deviations=card.deviations,
        intervals=card.intervals,
        decision=Decision(float(made_of.get("threshold", 0.5)), made_of.get("fallback", "none")),
        part=str(made_of.get("part", "test")),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        When the file holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"expected JSON in {path}, found none ({error}); run the stage that writes it") from error
    if not isinstance(values, dict):
        raise InputError(f"expected a JSON object in {path}, found {type(values).__name__}; run its stage again")
    return values


def read_optional(path: Path) -> dict[str, Any]:
    """Read a JSON object as `read_json` does; empty where there is no file."""
    return read_json(path) if path.is_file() else {}


def read_rows(path: Path, *columns: str) -> list[dict[str, str]]:
    """Read a CSV file with a header; a file that is not there has no rows.

    Raises
    ------
    InputError
        When one of the columns is missing.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        lost = [column for column in columns if column not in (reader.fieldnames or ())]
        if lost:
            raise InputError(f"expected a column {lost[0]!r} in {path}, found {reader.fieldnames}; run its stage again")
        return list(reader)


def read_class_scores(path: Path) -> dict[str, ClassScore]:
    """Read `per_class.csv`, in its order, without classes whose F1 is blank; empty when it is not there.

    Raises
    ------
    InputError
        When a support, an F1 or an accuracy is no number.
    """
    rows = [row for row in read_rows(path, "class", "support", "f1") if row["f1"]]
    try:
        return {
            row["class"]: ClassScore(
                row["class"],
                int(row["support"]),
                float(row["f1"]),
                float(row["accuracy"]) if row.get("accuracy") else None,
            )
            for row in rows
        }
    except ValueError as error:
        raise InputError(f"expected numbers in {path}, found others ({error}); run `diptych evaluate` again") from error


def read_predictions(path: Path, width: int, part: str = "test") -> Predictions | None:
    """Read the scores of the smallest seed; None when the file is not there.

    Parameters
    ----------
    path : Path
        What `train` wrote.
    width : int
        How many scores each item has: the number of classes, or 1.
    part : str
        The part whose scores are read.

    Raises
    ------
    InputError
        When the file has another form, another number of scores, or scores that are not finite.
    """
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, columns=["seed", "id", "scores"], filters=[("part", "==", part)])
        seeds = table.column("seed").to_numpy()
        first = int(seeds.min()) if len(seeds) else 0
        table = table.filter(pa.array(seeds == first))
        scores = table.column("scores")
        lengths, values = pc.list_value_length(scores).to_numpy(), pc.list_flatten(scores).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise InputError(
            f"expected predictions in {path}, found another file ({error}); run `diptych train`"
        ) from error
    if (lengths != width).any():
        raise InputError(f"expected {width} scores for each item in {path}, found another number; run `diptych train`")
    if not np.isfinite(values).all():
        raise InputError(f"expected finite scores in {path}, found NaN or infinity; run `diptych train` again")
    return Predictions(first, table.column("id").to_pylist(), values.astype(np.float32).reshape(-1, width))
