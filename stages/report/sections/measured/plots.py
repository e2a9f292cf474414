"""The plots: which experiments they compare, and the curves and class tables that they are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from stages.report.draw.calibration import calibration_plot
from stages.report.draw.figures import (
    Curves,
    Series,
    confusion_plot,
    count_pairs,
    leaderboard_plot,
    learning_plot,
    per_class_plot,
    scatter_plot,
)
from stages.report.draw.insides import variance_plot, weight_plots
from stages.report.draw.svg import Plot
from stages.report.read.cards import Cards
from stages.report.read.experiments import Predictions, read_class_scores, read_rows
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import Leaderboard
from stages.report.read.matrices import Lineage
from stages.report.sections.protocol import Section
from store.errors import InputError


@dataclass(frozen=True)
class PlotSection(Section):
    """The plots, in the order of the page."""

    name: ClassVar[str] = "plots"
    title: ClassVar[str] = "Plots"

    plots: tuple[Plot, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> PlotSection | None:
        """Draw every plot for which the run left something; None where there is none."""
        data = run.inputs.data
        plots = draw_plots(run.board, run.cards, run.predictions, data) if run.closer else []
        plots += draw_insides(run.board, run.lineage, run.inputs.cards("reduce"), data)
        return cls(tuple(plots)) if plots else None


def draw_plots(board: Leaderboard, cards: Cards, predictions: Predictions | None, data: Path) -> list[Plot]:
    """Draw every plot for which the run left something.

    Parameters
    ----------
    board : Leaderboard
        The experiments; the first one is looked at closely.
    cards : Cards
        Knows the items.
    predictions : Predictions or None
        Of the first experiment.
    data : Path
        The folder with `train/` and `evaluate/`.
    """
    best = board.experiments[0]
    pairs = count_pairs(read_rows(data / "evaluate" / best.name / "confusion.csv", "actual", "predicted"))
    plots = [
        leaderboard_plot(board),
        per_class_plot(list(_series(board, data / "evaluate"))),
        confusion_plot(best.name, pairs, several=best.task == "multilabel"),
        _regression(best.name, cards, predictions) if best.task == "regression" else None,
        learning_plot(
            [(one.name, read_curves(data / "train" / f"{one.name}.history.csv")) for one in board.experiments]
        ),
    ]
    return [plot for plot in plots if plot is not None]


def draw_insides(board: Leaderboard, lineage: Lineage, reductions: Sequence[Path], data: Path) -> list[Plot]:
    """Draw what happens inside: how far scores can be believed, what fusions listen to, what reductions keep.

    Parameters
    ----------
    board : Leaderboard
        The experiments.
    lineage : Lineage
        Tells what matrices show.
    reductions : sequence of Path
        The metrics files of `reduce`.
    data : Path
        The folder with `evaluate/` and `reduce/`.
    """
    plots = [variance_plot(reductions, data / "reduce", lineage)]
    if not board.only_floors:
        scored = data / "evaluate"
        plots = [calibration_plot(board, scored), *weight_plots(board, scored, lineage), *plots]
    return [plot for plot in plots if plot is not None]


def _series(board: Leaderboard, folder: Path) -> Iterator[Series]:
    for one in board.compared():
        yield Series(one, board.kinds[one.name], read_class_scores(folder / one.name / "per_class.csv"))


def read_curves(path: Path) -> Curves:
    """Read a training history: seed -> float64 [epochs, 3] (epoch, train loss, validation loss), NaN where blank.

    Raises
    ------
    InputError
        When a value is no number.
    """
    curves: dict[int, list[list[float]]] = {}
    for row in read_rows(path, "seed", "epoch", "train_loss", "valid_loss"):
        try:
            values = [float(row[name] or "nan") for name in ("epoch", "train_loss", "valid_loss")]
            curves.setdefault(int(row["seed"]), []).append(values)
        except ValueError as error:
            raise InputError(f"expected numbers in {path}, found {row}; run `diptych train` again") from error
    return {seed: np.array(values) for seed, values in sorted(curves.items())}


def _regression(name: str, cards: Cards, predictions: Predictions | None) -> Plot | None:
    if predictions is None:
        return None
    truth = cards.manifest.targets()[cards.rows(predictions.ids, f"the predictions of {name}")]
    known = np.isfinite(truth)
    return scatter_plot(name, truth[known], predictions.scores[known, 0].astype(np.float64)) if known.any() else None
