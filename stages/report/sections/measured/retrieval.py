"""The retrieval systems: their measures, and how often something relevant is found within the first K."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stages.report.draw.svg import BEST, IMAGE, MUTED, TEXT, WIDTH, Plot, Words, bare, draw
from stages.report.read.finished import FinishedRun
from stages.report.read.matrices import Lineage
from stages.report.read.systems import System, shown_of
from stages.report.read.tables import Row, read_table
from stages.report.sections.protocol import Section
from stages.report.words import shorten

SHOWN = 8
_COLUMNS = ("k", "top_k", "recall", "precision", "random")
_MARKERS = "osv^D<>P"


@dataclass(frozen=True)
class Curve:
    """One system: its rows by K, and the colour of what its vectors show."""

    name: str
    colour: str
    rows: tuple[Row, ...]

    def values(self, column: str) -> list[float]:
        """Return one column, by K."""
        return [row.numbers[column] for row in self.rows]


@dataclass(frozen=True)
class RetrievalSection(Section):
    """The retrieval systems, the best first, and how often they find something within the first K."""

    name: ClassVar[str] = "retrieval"
    title: ClassVar[str] = "Retrieval"

    systems: tuple[System, ...]
    curve: Plot | None

    @classmethod
    def read(cls, run: FinishedRun) -> RetrievalSection | None:
        """Draw the curves; None without a system."""
        curve = curve_plot(run.systems, run.inputs.data / "retrieve", run.lineage)
        return cls(tuple(run.systems), curve) if run.systems else None

    @property
    def measures(self) -> list[str]:
        """The columns of the table."""
        return shown_of(one.metrics for one in self.systems)


def curve_plot(systems: Sequence[System], folder: Path, lineage: Lineage) -> Plot | None:
    """Draw the top-K accuracy by K of every system, and what a blind choice would reach; None without the tables.

    Parameters
    ----------
    systems : sequence of System
    folder : Path
        `data/retrieve`.
    lineage : Lineage
        Tells what the vectors of a system show, for its colour.

    Raises
    ------
    InputError
        When a table is malformed.
    """
    known = [
        Curve(one.name, _colour(one, lineage), tuple(rows))
        for one in systems
        if (rows := read_table(folder / f"{one.name}.curve.csv", (), _COLUMNS, verb="retrieve"))
    ]
    if not known:
        return None
    shown = known[:SHOWN]
    blind = {tuple(one.values("random")): one for one in shown}

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, one in enumerate(blind.values()):
            label = "a blind choice" if place == 0 else None
            axes.plot(one.values("k"), one.values("random"), color=MUTED, ls=(0, (2, 2)), lw=1, label=label)
        for place, one in enumerate(shown):
            marker = _MARKERS[place % len(_MARKERS)]
            axes.plot(
                one.values("k"), one.values("top_k"), color=one.colour, marker=marker, ms=5, label=shorten(one.name)
            )
        axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("K")
        axes.set_ylabel("top-K accuracy")
        axes.tick_params(labelcolor=MUTED)
        bare(axes, "y")
        figure.legend(loc="outside upper left", ncols=2)

    left = f" {len(known) - len(shown)} more systems are not drawn." if len(known) > len(shown) else ""
    words = Words(
        "Something relevant within the first K",
        "Share of the queries with at least one relevant item among the first K found; dotted, what a blind choice "
        f"would reach.{left}",
        f"Curves of top-K accuracy by K: {'; '.join(_told(one) for one in shown)}.",
    )
    return draw("plot-retrieval", words, (WIDTH, 3.2 + 0.2 * -(-(len(shown) + 1) // 2)), paint)


def _colour(system: System, lineage: Lineage) -> str:
    features = system.features.split(" + ")
    colours: dict[frozenset[str], str] = {frozenset({"text"}): TEXT, frozenset({"image"}): IMAGE}
    return colours.get(lineage.modalities(features), BEST)


def _told(curve: Curve) -> str:
    first, last = curve.rows[0], curve.rows[-1]
    ends = {row.count("k"): row.numbers for row in (first, last)}
    return f"{curve.name} " + ", ".join(
        f"{values['top_k']:.2f} at {k} (blind {values['random']:.2f})" for k, values in ends.items()
    )
