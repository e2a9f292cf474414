"""The experiments in order, and what each looks at; `leaderboard.csv` holds the same."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.report.read.experiments import Experiment
from stages.report.read.matrices import Lineage
from store.errors import InputError
from store.files.outputs import safe_cell, write_lines

Kind = Literal["text", "image", "both", "floor", "other"]
KINDS: Mapping[Kind, str] = {
    "both": "text + image", "text": "text", "image": "image", "floor": "floor", "other": "other",
}  # fmt: skip
LOWER_IS_BETTER = frozenset({"mse", "rmse", "mae", "hamming", "log_loss", "ece", "brier"})
_ORDER = (
    "f1_macro", "f1_micro", "f1_samples", "f1_weighted", "f1_macro_all", "subset_accuracy", "label_accuracy", "hamming",
    "accuracy", "balanced_accuracy", "top_1", "top_5", "balanced_top_5", "precision", "recall", "f1", "mse", "r2",
)  # fmt: skip


@dataclass(frozen=True)
class Leaderboard:
    """The experiments, best first.

    Attributes
    ----------
    experiments : tuple of Experiment
        Ordered by `primary`; equal ones by name.
    kinds : mapping of str to Kind
        For each experiment's name, what it looks at; "floor" is a head that looks at nothing.
    primary : str
        The metric that orders.
    columns : tuple of str
        All metrics, the primary one first.
    """

    experiments: tuple[Experiment, ...]
    kinds: Mapping[str, Kind]
    primary: str
    columns: tuple[str, ...]

    @property
    def descending(self) -> bool:
        """Whether more is better."""
        return self.primary not in LOWER_IS_BETTER

    @property
    def only_floors(self) -> bool:
        """Whether all experiments look at nothing."""
        return all(kind == "floor" for kind in self.kinds.values())

    def best(self, *kinds: Kind) -> Experiment | None:
        """Return the first experiment, or the first of some kinds."""
        return next((one for one in self.experiments if not kinds or self.kinds[one.name] in kinds), None)

    def compared(self) -> Iterator[Experiment]:
        """Yield the best experiment, then the best on the text alone and the best on the image alone, each once."""
        chosen = [self.experiments[0], self.best("text"), self.best("image")]
        yield from {one.name: one for one in chosen if one is not None}.values()


def rank_experiments(experiments: Sequence[Experiment], primary: str | None, lineage: Lineage) -> Leaderboard:
    """Order experiments by a metric.

    Parameters
    ----------
    experiments : sequence of Experiment
        At least one, all of one task.
    primary : str or None
        The metric; None takes the one of the task.
    lineage : Lineage
        Tells what their matrices show.

    Raises
    ------
    InputError
        When an experiment lacks the metric.
    """
    metric = primary or ("mse" if experiments[0].task == "regression" else "f1_macro")
    for experiment in experiments:
        if metric not in experiment.means:
            raise InputError(
                f"expected the metric {metric!r} for every experiment, found none for {experiment.name!r}, which has "
                f"{', '.join(sorted(experiment.means)) or 'no metric'}; choose another `primary` or evaluate it again"
            )
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
    ordered = sorted(experiments, key=lambda one: (*_place(sign * one.means[metric]), one.name))
    kinds = {one.name: _kind(one, lineage) for one in experiments}
    return Leaderboard(tuple(ordered), kinds, metric, _columns(experiments, metric))


def _place(value: float) -> tuple[bool, float]:
    """NaN compares with nothing: it goes last, and deterministically."""
    return (True, 0.0) if math.isnan(value) else (False, value)


def _columns(experiments: Sequence[Experiment], primary: str) -> tuple[str, ...]:
    known = {name: place for place, name in enumerate(_ORDER)}
    found = {name for experiment in experiments for name in experiment.means} - {primary}
    return (primary, *sorted(found, key=lambda name: (known.get(name, len(known)), name)))


def _kind(experiment: Experiment, lineage: Lineage) -> Kind:
    if experiment.head == "dummy":
        return "floor"
    seen = lineage.modalities(experiment.features)
    if len(seen) > 1:
        return "both"
    return "image" if "image" in seen else "text" if seen else "other"


def write_leaderboard(path: Path, board: Leaderboard) -> None:
    """Write the CSV, best first, blank where unknown.

    Experiment, what it is, then each metric with its deviation; beside the primary one the ends of its interval.
    """
    main = board.primary
    metrics = [main, f"{main}_std", f"{main}_low", f"{main}_high"]
    metrics += [name for column in board.columns[1:] for name in (column, f"{column}_std")]
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["experiment", "features", "fusion", "head", "seeds", "rows", *metrics])
        for one in board.experiments:
            texts = [safe_cell(text) for text in (one.name, " + ".join(one.features), one.fusion, one.head)]
            ends = one.intervals.get(main, (None, None))
            row = [*_numbers(one, board.columns[:1]), *map(_cell, ends), *_numbers(one, board.columns[1:])]
            writer.writerow([*texts, one.seeds, one.rows, *row])


def _numbers(experiment: Experiment, columns: Sequence[str]) -> Iterator[str]:
    for column in columns:
        for values in (experiment.means, experiment.deviations):
            yield _cell(values.get(column))


def _cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(round(value, 6))
