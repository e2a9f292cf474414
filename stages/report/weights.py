"""Which input a fusion listens to, class by class: reads `weights.csv` and draws it as a dot plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from stages.errors import InputError
from stages.report.leaderboard import Leaderboard
from stages.report.lineage import Lineage
from stages.report.svg import BEST, GRID, IMAGE, INK, SHOWN_CLASSES, TEXT, WIDTH, Plot, Words, bare, draw
from stages.report.tables import Row, read_table
from stages.report.words import shorten

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
