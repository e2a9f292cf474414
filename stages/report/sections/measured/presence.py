"""How experiments do on items with both inputs, one of them or none: reads `presence.csv`, tabulates and draws it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from matplotlib.figure import Figure

from stages.report.draw.svg import BEST, FLOOR, GRID, IMAGE, TEXT, WIDTH, Plot, Words, bare, draw
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import LOWER_IS_BETTER, Leaderboard
from stages.report.read.tables import Row, read_table
from stages.report.sections.protocol import Section
from stages.report.words import metric_name, number, shorten

SHOWN = 24
_LOOKS = {
    "image and text": (BEST, "o"), "text only": (TEXT, "^"), "image only": (IMAGE, "s"), "neither": (FLOOR, "X"),
}  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """Which inputs some scored items have, and how many they are."""

    name: str
    rows: int


@dataclass(frozen=True)
class PresenceSection(Section):
    """The section.

    Attributes
    ----------
    metric : str
    patterns : tuple of Pattern
        Those that occur.
    values : mapping of str to mapping of str to float
        From an experiment, in the order of the leaderboard, to the metric by pattern.
    plot : Plot
    """

    name: ClassVar[str] = "presence"
    title: ClassVar[str] = "With and without inputs"

    metric: str
    patterns: tuple[Pattern, ...]
    values: Mapping[str, Mapping[str, float]]
    plot: Plot

    @classmethod
    def read(cls, run: FinishedRun) -> PresenceSection | None:
        """Read the section as `read_presence` does."""
        return read_presence(run.board, run.evaluated)


def read_presence(board: Leaderboard, folder: Path) -> PresenceSection | None:
    """Read and draw the section; None without the tables, and where all items are alike.

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
    names = dict.fromkeys([board.primary, "f1_macro", "mse"])
    tables = {
        one.name: read_table(folder / one.name / "presence.csv", ("pattern",), ("rows",), blank=tuple(names))
        for one in board.experiments
    }
    tables = {name: rows for name, rows in tables.items() if rows}
    if not tables:
        return None
    metric = next((name for name in names if any(_known(rows, name) for rows in tables.values())), board.primary)
    values = {name: {row.texts["pattern"]: row.numbers[metric] for row in rows} for name, rows in tables.items()}
    counts = {row.texts["pattern"]: row.count("rows") for rows in tables.values() for row in rows}
    order = {name: place for place, name in enumerate(_LOOKS)}
    patterns = [Pattern(name, counts[name]) for name in sorted(counts, key=lambda name: order.get(name, len(order)))]
    if len(patterns) < 2:
        return None  # where all items are alike, these are the figures of the leaderboard
    return PresenceSection(metric, tuple(patterns), values, _plot(board, metric, patterns, values))


def _known(rows: Sequence[Row], metric: str) -> bool:
    return any(not math.isnan(row.numbers[metric]) for row in rows)


def _plot(
    board: Leaderboard, metric: str, patterns: Sequence[Pattern], values: Mapping[str, Mapping[str, float]]
) -> Plot:
    shown = dict(list(values.items())[:SHOWN])

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, found in enumerate(shown.values()):
            known = [value for value in found.values() if not math.isnan(value)]
            if known:
                axes.plot([min(known), max(known)], [place, place], color=GRID, lw=2.5, zorder=1)
        for pattern in patterns:
            colour, marker = _LOOKS.get(pattern.name, (FLOOR, "D"))
            x = [found.get(pattern.name, math.nan) for found in shown.values()]
            label = f"{pattern.name} ({pattern.rows:,})"
            axes.plot(x, range(len(shown)), marker, color=colour, ms=6.5, label=label, zorder=3)
        axes.set_yticks(range(len(shown)), [shorten(name) for name in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(metric_name(metric) + (" (less is better)" if metric in LOWER_IS_BETTER else ""))
        axes.margins(x=0.08)
        bare(axes)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.3, columnspacing=1.2)

    told = "; ".join(
        f"{name} " + ", ".join(f"{pattern} {number(value)}" for pattern, value in found.items())
        for name, found in list(shown.items())[:12]
    )
    words = Words(
        f"{metric_name(metric)[0].upper()}{metric_name(metric)[1:]} by what an item has",
        f"The {board.experiments[0].part} items apart by which inputs they have, in brackets how many; means over the "
        "seeds. Few items make a loose figure.",
        f"Dot plot of {metric_name(metric)} by present inputs: {told}.",
    )
    return draw("plot-presence", words, (WIDTH, 1.1 + 0.3 * len(shown)), paint)
