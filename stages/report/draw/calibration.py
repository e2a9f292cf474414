"""Whether a score of .8 is right in 8 of 10 cases: reads `calibration.csv` and draws the reliability diagram."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.report.draw.svg import GRID, LOOKS, MUTED, WIDTH, Plot, Words, bare, draw
from stages.report.read.experiments import Experiment
from stages.report.read.leaderboard import Kind, Leaderboard
from stages.report.read.tables import Row, read_table
from stages.report.words import number, shorten

_COLUMNS = ("low", "high", "count")
_MAYBE = ("confidence", "share")  # an empty bin has neither
# What these heads give as scores orders the classes, but was never meant as a probability.
_NO_PROBABILITIES = {
    "svm": "squashed margins",
    "forest": "means over the leaves of trees",
    "knn": "shares of neighbours",
    "dummy": "shares of the train rows",
}


@dataclass(frozen=True)
class Reliability:
    """One experiment's bins, those without a score left out."""

    experiment: Experiment
    kind: Kind
    bins: tuple[Row, ...]

    @property
    def told(self) -> str:
        """Its name and its expected calibration error, where that is known."""
        error = self.experiment.means.get("ece")
        return self.experiment.name if error is None else f"{self.experiment.name} (ECE {number(error)})"


def calibration_plot(board: Leaderboard, folder: Path) -> Plot | None:
    """Draw the reliability of the best experiment and of the best on each modality; None without the tables.

    Parameters
    ----------
    board : Leaderboard
        The experiments.
    folder : Path
        `data/evaluate`.

    Raises
    ------
    InputError
        When a table is malformed.
    """
    series = [one for one in _series(board, folder) if one.bins]
    if not series:
        return None

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _paint_shares(upper, series)
        _paint_counts(lower, series)
        upper.set_xlim(-0.03, 1.03)
        handles, names = upper.get_legend_handles_labels()
        figure.legend(handles[::-1], names[::-1], loc="outside upper left", ncols=1, handletextpad=0.4)

    words = Words("Can the scores be believed?", _caption(series), _alt(series))
    return draw("plot-calibration", words, (WIDTH, 4.6 + 0.2 * len(series)), paint)


def _series(board: Leaderboard, folder: Path) -> Iterator[Reliability]:
    for one in board.compared():
        rows = read_table(folder / one.name / "calibration.csv", (), _COLUMNS, blank=_MAYBE)
        yield Reliability(one, board.kinds[one.name], tuple(row for row in rows if row.numbers["count"] > 0))


def _paint_shares(axes: Axes, series: Sequence[Reliability]) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (2, 2)))
    for one in reversed(series):
        colour, marker, _ = LOOKS[one.kind]
        x, y = ([row.numbers[name] for row in one.bins] for name in ("confidence", "share"))
        axes.plot(x, y, color=colour, marker=marker, ms=6, lw=1.2, label=shorten(one.told, 44))
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("share that is right")
    bare(axes, "y")


def _paint_counts(axes: Axes, series: Sequence[Reliability]) -> None:
    """Draw how many scores each bin holds, as steps: the counts differ by thousands, so on a scale of powers."""
    for one in reversed(series):
        colour, marker, _ = LOOKS[one.kind]
        middles = [(row.numbers["low"] + row.numbers["high"]) / 2 for row in one.bins]
        counts = [row.numbers["count"] for row in one.bins]
        axes.plot(middles, counts, color=colour, marker=marker, ms=4, lw=0.8)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")  # the scale's own is a formula of TeX
    axes.minorticks_off()
    axes.set_ylabel("scores")
    axes.set_xlabel("score (mean of its bin)")
    axes.tick_params(labelcolor=MUTED)
    axes.spines[:].set_edgecolor(GRID)
    bare(axes, "y")


def _caption(series: Sequence[Reliability]) -> str:
    several = series[0].experiment.task == "multilabel"
    counted = "Every score of every class" if several else "The score of the predicted class of every row"
    odd = [
        f"{one.experiment.name} gives {_NO_PROBABILITIES[one.experiment.head]}"
        for one in series
        if one.experiment.head in _NO_PROBABILITIES
    ]
    warning = f" Read with care: {', '.join(odd)}, which are no probabilities, only an order." if odd else ""
    return (
        f"{counted} on the {series[0].experiment.part} part, first seed, in ten bins; below, how many scores each bin "
        "holds. On the dotted line a score is the share of cases in which it is right; points above it are too modest, "
        f"points below too sure. ECE is the mean distance from the line, weighted by count.{warning}"
    )


def _alt(series: Sequence[Reliability]) -> str:
    told = "; ".join(
        f"{one.told}: "
        + ", ".join(
            f"{row.numbers['confidence']:.2f} is right in {row.numbers['share']:.2f} of {row.count('count'):,}"
            for row in one.bins
        )
        for one in series
    )
    return f"Reliability diagram of score against share that is right. {told}."
