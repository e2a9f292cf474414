"""What happens inside: which input a fusion listens to, and how much of the variance a reduction keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.report.draw.svg import BEST, GRID, IMAGE, INK, MUTED, SHOWN_CLASSES, TEXT, WIDTH, Plot, Words, bare, draw
from stages.report.read.leaderboard import Leaderboard
from stages.report.read.matrices import Lineage
from stages.report.read.tables import Row, read_table
from stages.report.words import shorten
from store.errors import InputError
from store.results.cards import EntryCard

_ALL = "(all)"
_ALIKE = 0.005  # weights that differ by less than this look the same
_MARKERS = {TEXT: "^v<>", IMAGE: "sDpP", BEST: "oh*d"}


@dataclass(frozen=True)
class Listening:
    """One experiment's mean weights.

    Attributes
    ----------
    experiment : str
    inputs : tuple of str
    weights : dict of str to dict of str to float
        By class, all rows first, then by input.
    rows : dict of str to int
        How many rows bear the class.
    """

    experiment: str
    inputs: tuple[str, ...]
    weights: dict[str, dict[str, float]]
    rows: dict[str, int]


def weight_plots(board: Leaderboard, folder: Path, lineage: Lineage) -> Iterator[Plot]:
    """Draw one plot per experiment with weights, in the order of the leaderboard.

    Parameters
    ----------
    board : Leaderboard
        The experiments.
    folder : Path
        `data/evaluate`.
    lineage : Lineage
        Tells whether an input shows text or image.

    Raises
    ------
    InputError
        When a table is malformed.
    """
    for one in board.experiments:
        path = folder / one.name / "weights.csv"
        rows = read_table(path, ("class", "input"), ("weight", "rows"))
        if rows:
            yield _plot(_listening(one.name, rows, path), one.part, lineage)


def _listening(name: str, rows: Sequence[Row], path: Path) -> Listening:
    inputs = tuple(dict.fromkeys(row.texts["input"] for row in rows))
    weights: dict[str, dict[str, float]] = {}
    for row in rows:
        weights.setdefault(row.texts["class"], {})[row.texts["input"]] = row.numbers["weight"]
    if any(len(found) != len(inputs) for found in weights.values()):
        raise InputError(
            f"expected a weight of every input for every class in {path}, found fewer; run `diptych evaluate` again"
        )
    return Listening(name, inputs, weights, {row.texts["class"]: row.count("rows") for row in rows})


def _looks(inputs: Sequence[str], lineage: Lineage) -> dict[str, tuple[str, str]]:
    """Give each input the colour of its modality, and a marker that no other input has."""
    looks: dict[str, tuple[str, str]] = {}
    for name in inputs:
        seen = lineage.modalities((name,))
        colour = TEXT if seen == {"text"} else IMAGE if seen == {"image"} else BEST
        of_colour = sum(1 for other, _ in looks.values() if other == colour)
        looks[name] = (colour, _MARKERS[colour][of_colour % len(_MARKERS[colour])])
    return looks


def _plot(one: Listening, part: str, lineage: Lineage) -> Plot:
    first = one.inputs[0]
    named = sorted(one.weights.keys() - {_ALL}, key=lambda label: (-one.rows[label], label))
    chosen = sorted(named[:SHOWN_CLASSES], key=lambda label: (-one.weights[label][first], label))
    same = _ALL in one.weights and _spread(one) < _ALIKE
    labels = [*([_ALL] if _ALL in one.weights else []), *([] if same else chosen)]
    looks = _looks(one.inputs, lineage)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, label in enumerate(labels):
            values = one.weights[label].values()
            axes.plot([min(values), max(values)], [place, place], color=GRID, lw=2.5, zorder=1)
        for name in one.inputs:
            colour, marker = looks[name]
            x = [one.weights[label][name] for label in labels]
            axes.plot(x, range(len(labels)), marker, color=colour, ms=6, label=shorten(name), zorder=3)
        if _ALL in labels:
            axes.axhline(0.5, color=GRID, lw=0.8)
        axes.set_yticks(range(len(labels)), [f"{_name(label)} ({one.rows[label]:,})" for label in labels])
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlabel("mean weight", color=INK)
        axes.margins(x=0.06)
        bare(axes)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.3, columnspacing=1.2)

    note = f" The {len(chosen)} most frequent of {len(named)} classes." if len(chosen) < len(named) else ""
    if same:
        note = " They are the same for every class, so one line tells them."
    words = Words(
        f"What {one.experiment} listens to",
        f"Mean weight that the fusion gives to each input over the {part} items that bear the class (in brackets how "
        f"many), first seed; sorted by {first}.{note}",
        f"Dot plot of the mean weights of {', '.join(one.inputs)} in {one.experiment}: {_told(one, labels)}.",
    )
    return draw(f"plot-weights-{one.experiment}", words, (WIDTH, 1.1 + 0.21 * len(labels)), paint)


def _spread(one: Listening) -> float:
    """Tell how far the weights of one input are at most apart from class to class."""
    columns = [[found[name] for found in one.weights.values()] for name in one.inputs]
    return max(max(values) - min(values) for values in columns)


def _name(label: str) -> str:
    return "all items" if label == _ALL else shorten(label)


def _told(one: Listening, labels: Sequence[str]) -> str:
    ends = dict.fromkeys([*labels[:2], *labels[-1:]])
    return "; ".join(
        f"{_name(label)} " + ", ".join(f"{name} {value:.2f}" for name, value in one.weights[label].items())
        for label in ends
    )


SHOWN = 10
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)), (0, (8, 2)))
_COLOURS = {frozenset({"text"}): TEXT, frozenset({"image"}): IMAGE, frozenset({"text", "image"}): BEST}


@dataclass(frozen=True)
class Kept:
    """The share of the variance that the first 1, 2, ... components of one reduction keep, float64 [components]."""

    name: str
    colour: str
    cumulative: NDArray[np.float64]


def variance_plot(cards: Sequence[Path], folder: Path, lineage: Lineage) -> Plot | None:
    """Draw one curve per reduction; None where none tells its variance.

    Parameters
    ----------
    cards : sequence of Path
        The metrics files of `reduce`.
    folder : Path
        `data/reduce`, with `<name>.variance.csv`; where that is not there, the card's `explained` is taken.
    lineage : Lineage
        Tells what a reduction shows, for its colour.

    Raises
    ------
    InputError
        When a file is malformed.
    """
    known = [one for one in _read(cards, folder, lineage) if len(one.cumulative)]
    if not known:
        return None
    shown = known[:SHOWN]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, one in enumerate(shown):
            steps = np.arange(1, len(one.cumulative) + 1)
            dash = _DASHES[place % len(_DASHES)]
            axes.plot(steps, one.cumulative, color=one.colour, ls=dash, lw=1.6, label=shorten(one.name))
            axes.plot(steps[-1:], one.cumulative[-1:], "o", color=one.colour, ms=4)
            end = (float(steps[-1]), float(one.cumulative[-1]))
            axes.annotate(f"{end[1]:.0%}", end, (6, -3), textcoords="offset points", color=INK, annotation_clip=False)
        axes.set_ylim(0, 1.03)
        axes.set_xlim(left=0)
        axes.margins(x=0.08)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlabel("components")
        axes.set_ylabel("variance kept")
        axes.tick_params(labelcolor=MUTED)
        bare(axes, "y")
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.6)

    left = f" {len(known) - len(shown)} more are not drawn." if len(known) > len(shown) else ""
    told = "; ".join(f"{one.name} keeps {one.cumulative[-1]:.1%} with {len(one.cumulative)}" for one in shown)
    words = Words(
        "Variance kept by each reduction",
        f"Share of the variance of the train rows that the first components keep together: {told}.{left}",
        f"Curves of variance kept by number of components: {told}.",
    )
    return draw("plot-variance", words, (WIDTH, 3.2 + 0.2 * -(-len(shown) // 2)), paint)


def _read(cards: Sequence[Path], folder: Path, lineage: Lineage) -> Iterator[Kept]:
    for card in cards:
        rows = read_table(
            folder / f"{card.stem}.variance.csv", (), ("component", "variance", "cumulative"), verb="reduce"
        )
        values = np.array([row.numbers["cumulative"] for row in rows]) if rows else _of_card(card)
        if ((values < 0) | (values > 1.001)).any() or (np.diff(values) < -1e-6).any():
            raise InputError(
                f"expected shares that add up to at most 1 for the reduction {card.stem!r}, found others; "
                f"run `diptych reduce {card.stem}` again"
            )
        yield Kept(card.stem, _COLOURS.get(lineage.modalities((card.stem,)), MUTED), values)


def _of_card(card: Path) -> NDArray[np.float64]:
    explained = EntryCard.read(card).metrics.get("explained") or []
    try:
        return np.cumsum(np.array(explained, np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"expected numbers as 'explained' in {card}, found others; run `diptych reduce {card.stem}` again"
        ) from error
