"""The plots of scores: leaderboard, F1 by class, what is taken for what, learning curves, predicted against true."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from stages.report.draw.svg import BEST, CARD, GRID, INK, LOOKS, MUTED, SHOWN_CLASSES, WIDTH, Plot, Words, bare, draw
from stages.report.read.experiments import ClassScore, Experiment
from stages.report.read.leaderboard import Kind, Leaderboard
from stages.report.words import metric_name, number, score, shorten

SHOWN_CURVES = 12


def leaderboard_plot(board: Leaderboard) -> Plot:
    """Draw a dot per experiment, best on top, with its deviation as a bar; colour and shape tell the kind."""
    shown, name = board.experiments, metric_name(board.primary)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for kind, (colour, marker, label) in LOOKS.items():
            places = [place for place, one in enumerate(shown) if board.kinds[one.name] == kind]
            if places:
                means = [shown[place].means[board.primary] for place in places]
                spread = [shown[place].deviations.get(board.primary, 0.0) for place in places]
                axes.errorbar(means, places, xerr=spread, fmt="none", ecolor=colour, capsize=3)
                axes.plot(means, places, marker, color=colour, ms=7, label=label)
        for place, one in enumerate(shown):
            if math.isnan(one.means[board.primary]):
                continue  # nothing to place a number beside
            at = (one.means[board.primary] + one.deviations.get(board.primary, 0.0), place)
            mean = number(one.means[board.primary])
            axes.annotate(mean, at, (8, 0), textcoords="offset points", va="center", color=INK, annotation_clip=False)
        axes.set_yticks(range(len(shown)), [shorten(one.name) for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(name + ("" if board.descending else " (less is better)"))
        axes.margins(x=0.12)
        bare(axes)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.3, columnspacing=1.2)

    ranking = "; ".join(f"{one.name} {score(one, board.primary)}" for one in shown[:12])
    words = Words(
        f"{name[0].upper()}{name[1:]} of every experiment",
        "Means over the seeds; the bars reach one sample standard deviation to either side.",
        f"Dot plot of {name}, best first: {ranking}.",
    )
    return draw("plot-leaderboard", words, (WIDTH, 1.0 + 0.3 * len(shown)), paint)


@dataclass(frozen=True)
class Series:
    """The scores per class of one experiment, and as what it stands in the comparison."""

    experiment: Experiment
    kind: Kind
    scores: Mapping[str, ClassScore]


def per_class_plot(series: Sequence[Series]) -> Plot | None:
    """Draw the F1 of every class for the best experiment (first) and for those it is compared with.

    The accuracy of the class's decision stands beside it where the tables tell it.
    """
    series = [one for one in series if one.scores]
    if not series:
        return None
    best = series[0].scores
    kept = sorted(best, key=lambda label: (-best[label].support, label))[:SHOWN_CLASSES]
    labels = sorted(kept, key=lambda label: (-best[label].f1, label))
    accuracy = all(score.accuracy is not None for one in series for score in one.scores.values())

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, 2 if accuracy else 1, sharey=True, squeeze=False, width_ratios=[2, 1][: 1 + accuracy])
        _paint_classes(grid[0, 0], series, labels, "f1")
        grid[0, 0].set_xlim(-0.03, 1.03)
        grid[0, 0].set_xlabel("F1")
        grid[0, 0].set_yticks(range(len(labels)), [f"{shorten(label)} ({best[label].support})" for label in labels])
        grid[0, 0].set_ylim(len(labels) - 0.4, -0.6)
        if accuracy:
            figure.set_layout_engine("constrained", wspace=0.06)
            _paint_classes(grid[0, 1], series, labels, "accuracy")
            grid[0, 1].set_xlabel("accuracy")
            grid[0, 1].locator_params(axis="x", nbins=3)
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles[::-1], names[::-1], loc="outside upper left", ncols=2, handletextpad=0.3)

    note = f" The {len(labels)} most frequent of {len(best)} classes." if len(labels) < len(best) else ""
    beside = (
        " Accuracy, on a scale of its own, is the share of items on which the decision about the class is right: high "
        "for every rare class, since leaving it away is mostly right."
        if accuracy
        else ""
    )
    title = "F1 and accuracy" if accuracy else "F1"
    words = Words(
        f"{title} of every class" if not note else f"{title} by class",
        f"Sorted by {series[0].experiment.name}; in brackets, the test items that bear the class.{note}{beside}",
        f"Dot plot of {title} by class for {', '.join(one.experiment.name for one in series)}. "
        f"{series[0].experiment.name} is best on {labels[0]} (F1 {best[labels[0]].f1:.2f}) "
        f"and worst on {labels[-1]} (F1 {best[labels[-1]].f1:.2f}).",
    )
    return draw("plot-classes", words, (WIDTH, 1.0 + 0.21 * len(labels)), paint)


def _paint_classes(axes: Axes, series: Sequence[Series], labels: Sequence[str], what: str) -> None:
    """Draw one value of every class, a dot per experiment, tied together."""
    for place, label in enumerate(labels):
        values = [getattr(one.scores[label], what) for one in series if label in one.scores]
        axes.plot([min(values), max(values)], [place, place], color=GRID, lw=2.5, solid_capstyle="round", zorder=1)
    for one in reversed(series):
        colour, marker, _ = LOOKS[one.kind]
        known = [(place, getattr(one.scores[label], what)) for place, label in enumerate(labels) if label in one.scores]
        x, y = [value for _, value in known], [place for place, _ in known]
        axes.plot(x, y, marker, color=colour, ms=6, label=shorten(one.experiment.name), zorder=3)
    bare(axes)


Curves = Mapping[int, NDArray[np.float64]]
"""For each seed, the rows (epoch, train loss, validation loss), float64 [epochs, 3]."""


def learning_plot(histories: Sequence[tuple[str, Curves]]) -> Plot | None:
    """Draw the losses by epoch, one small panel per experiment and one thin line per seed."""
    shown = [(name, curves) for name, curves in histories if curves][:SHOWN_CURVES]
    if not shown:
        return None
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)

    def paint(figure: Figure) -> None:
        for place, (name, curves) in enumerate(shown):
            axes = figure.add_subplot(rows, columns, place + 1)
            for order, values in enumerate(curves.values()):
                labels = ("train", "validation") if place == order == 0 else (None, None)
                axes.plot(values[:, 0], values[:, 1], color=MUTED, lw=0.9, label=labels[0])
                axes.plot(values[:, 0], values[:, 2], color=BEST, lw=0.9, ls=(0, (4, 1.5)), label=labels[1])
            axes.set_title(shorten(name), loc="left", color=INK)
            axes.tick_params(labelcolor=MUTED, labelsize=9)
            axes.locator_params(nbins=4)
            bare(axes, "y")
            if place >= len(shown) - columns:
                axes.set_xlabel("epoch")
        figure.legend(loc="outside upper left", ncols=2)

    left = sum(1 for _, curves in histories if curves) - len(shown)
    words = Words(
        "Learning curves",
        "Loss by epoch, one line per seed; the scales differ from panel to panel."
        + (f" {left} more experiments are not drawn." if left else ""),
        f"Train and validation loss by epoch for {', '.join(name for name, _ in shown)}.",
    )
    return draw("plot-learning", words, (WIDTH, 0.5 + 1.6 * rows), paint)


def scatter_plot(name: str, truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Plot:
    """Draw predicted against true values of a regression, with the line on which they would agree."""

    def paint(figure: Figure) -> None:
        axes: Axes = figure.add_subplot()
        low, high = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
        axes.plot([low, high], [low, high], color=MUTED, lw=1)
        # One marker path drawn many times is what keeps thousands of dots small.
        axes.plot(truth, predicted, "o", color=BEST, ms=4, alpha=0.5, mew=0)
        axes.set_xlabel("true value")
        axes.set_ylabel("predicted value")
        axes.tick_params(labelcolor=MUTED)
        bare(axes, "y")

    words = Words(
        "Predicted against true",
        f"{len(truth)} test items as {name} predicts them; on the line the two agree.",
        f"Scatter plot of predicted against true values of {name}, {len(truth)} items.",
    )
    return draw("plot-regression", words, (WIDTH, 4.2), paint)


SHOWN = 20
NOTHING = "(nothing)"
_DENSE = 0.55  # from this share on a cell is so dense that the colour of the paper reads better on it than ink
Pairs = Counter[tuple[str, str]]


def count_pairs(rows: Sequence[dict[str, str]]) -> Pairs:
    """Count the rows (actual, predicted)."""
    return Counter((row["actual"], row["predicted"]) for row in rows)


def most_confused(pairs: Pairs) -> list[str]:
    """Choose the classes that are taken for others, or others for them, most often, 20 at most.

    Returns
    -------
    list of str
        In alphabetical order, `(nothing)` left out.
    """
    mistakes: Counter[str] = Counter()
    for (actual, predicted), count in pairs.items():
        for label in {actual, predicted} - {NOTHING}:
            mistakes[label] += count if actual != predicted and NOTHING not in (actual, predicted) else 0
    chosen = sorted(mistakes, key=lambda label: (-mistakes[label], label))[:SHOWN]
    return sorted(chosen)


def confusion_plot(name: str, pairs: Pairs, *, several: bool) -> Plot | None:
    """Draw the heat map.

    Parameters
    ----------
    name : str
        The experiment.
    pairs : Counter of (actual, predicted)
        What `evaluate` wrote, counted.
    several : bool
        Whether an item may bear several classes, which changes what a cell means.
    """
    labels = most_confused(pairs)
    if not labels:
        return None
    columns = [*labels, NOTHING] if any(predicted == NOTHING for _, predicted in pairs) else labels
    rows = [*labels, NOTHING] if any(actual == NOTHING for actual, _ in pairs) else labels

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        _paint_cells(axes, pairs, rows, columns)
        axes.set_xticks(range(len(columns)), [shorten(label, 20) for label in columns], rotation=55, ha="right")
        axes.set_yticks(range(len(rows)), [shorten(label, 20) for label in rows])
        axes.tick_params(length=0, labelsize=8.5, labelcolor=INK)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("predicted", color=MUTED)
        axes.set_ylabel("actual", color=MUTED)
        for spine in axes.spines.values():
            spine.set_visible(False)

    words = Words("What is taken for what", _caption(name, pairs, len(labels), several), _alt(name, pairs, labels))
    size = (max(WIDTH, 1.7 + 0.27 * len(columns)), 1.6 + 0.27 * max(len(rows), 6))
    return draw("plot-confusion", words, size, paint)


def _paint_cells(axes: Axes, pairs: Pairs, rows: Sequence[str], columns: Sequence[str]) -> None:
    for y, actual in enumerate(rows):
        total = sum(count for (one, _), count in pairs.items() if one == actual)
        for x, predicted in enumerate(columns):
            if count := pairs[actual, predicted]:
                share = count / total
                # One hue that grows denser: it reads on white and on black, and when printed without colour.
                cell = Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, color=BEST, alpha=0.08 + 0.77 * share, lw=0)
                axes.add_patch(cell)
                ink = CARD if share > _DENSE else INK
                axes.text(x, y, str(count), ha="center", va="center", fontsize=7.5, color=ink)


def _caption(name: str, pairs: Pairs, shown: int, several: bool) -> str:
    classes = len({label for pair in pairs for label in pair} - {NOTHING})
    chosen = f"The {shown} most confused of {classes} classes. " if shown < classes else ""
    meaning = (
        "The diagonal counts hits; elsewhere a missed class meets each class wrongly predicted for the same item, and "
        "(nothing) where there is none. "
        if several
        else ""
    )
    return f"{name}, first seed. {chosen}{meaning}Numbers are counts; the denser, the larger the share of its row."


def _alt(name: str, pairs: Pairs, labels: Sequence[str]) -> str:
    wrong = sorted(
        ((count, actual, predicted) for (actual, predicted), count in pairs.items() if actual != predicted),
        key=lambda entry: (-entry[0], entry[1], entry[2]),
    )
    inside = [entry for entry in wrong if entry[1] in labels and entry[2] in labels][:5]
    listed = "; ".join(f"{actual} taken for {predicted} {count} times" for count, actual, predicted in inside)
    return f"Heat map of the confusions of {name}. {'Most frequent: ' + listed if listed else 'No class is confused'}."
