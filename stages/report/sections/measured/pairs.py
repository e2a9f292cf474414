"""Which experiments can be told apart: a dot and an interval for every pair, and `pairs.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.report.draw.svg import BEST, CARD, INK, MUTED, WIDTH, Plot, Words, bare, draw
from stages.report.inputs import ReportOutputs
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import LOWER_IS_BETTER
from stages.report.read.pairs import Pair, PairTests, write_pairs
from stages.report.sections.protocol import Section
from stages.report.words import metric_name, number, p_value, shorten

SHOWN = 24  # of each kind


@dataclass(frozen=True)
class PairSection(Section):
    """The tests of the run and their drawing."""

    name: ClassVar[str] = "pairs"
    title: ClassVar[str] = "Told apart?"

    tests: PairTests
    plot: Plot

    @classmethod
    def read(cls, run: FinishedRun) -> PairSection | None:
        """Draw the tests; None where there are none."""
        return None if run.tests is None else cls(run.tests, pairs_plot(run.tests))

    def write(self, outputs: ReportOutputs) -> None:
        """Write the CSV."""
        write_pairs(outputs.pairs, self.tests.pairs)


def pairs_plot(tests: PairTests) -> Plot:
    """Draw the differences: filled where the two can be told apart, hollow where they cannot."""
    name = metric_name(tests.metric)
    panels = [shown for against in ("best", "single") if (shown := tests.of(against)[:SHOWN])]

    def paint(figure: Figure) -> None:
        heights = [len(panel) + 1 for panel in panels]
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            _paint(axes, panel)
        worse = " (less is better)" if tests.metric in LOWER_IS_BETTER else ""
        grid[-1, 0].set_xlabel(f"difference of {name}{worse}")

    left = len(tests.pairs) - sum(map(len, panels))
    told = "; ".join(
        f"{one.first} minus {one.second} {number(one.paired.difference)} from {number(one.paired.low)} to "
        f"{number(one.paired.high)}, {p_value(one.p_holm)}"
        for panel in panels
        for one in panel[:12]
    )
    words = Words(
        f"Differences of {name}",
        "Dots are differences of the means over the seeds, lines their 95 % intervals over other groups, the "
        "same groups for both. Filled: told apart, with a corrected p below 0.05. Hollow: it may be chance."
        + (f" {left} more pairs are in the table only." if left else ""),
        f"Forest plot of paired differences of {name}: {told}.",
    )
    rows = sum(len(panel) + 1 for panel in panels)
    return draw("plot-pairs", words, (WIDTH, 0.6 + 0.27 * rows), paint)


def _paint(axes: Axes, panel: Sequence[Pair]) -> None:
    axes.axvline(0, color=MUTED, lw=1, zorder=1)
    for place, one in enumerate(panel):
        colour = BEST if one.told_apart else MUTED
        axes.plot([one.paired.low, one.paired.high], [place, place], color=colour, lw=1.6, zorder=2)
        fill = colour if one.told_apart else CARD
        axes.plot([one.paired.difference], [place], "o", color=colour, mfc=fill, mew=1.4, ms=6.5, zorder=3)
    first = panel[0]
    if first.against == "best":
        names, title = [one.second for one in panel], f"{shorten(first.first, 40)}, the best, minus"
    else:
        names, title = [one.first for one in panel], f"minus {shorten(first.second, 34)}, the best on one modality"
    axes.set_title(title, loc="left", color=INK)
    axes.set_yticks(range(len(panel)), [shorten(name) for name in names])
    axes.set_ylim(len(panel) - 0.4, -0.6)
    axes.margins(x=0.06)
    bare(axes)
