"""Published figures beside measured ones: `report/compare.md`, and the same rows for the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from stages.report.inputs import ReportOutputs
from stages.report.read.experiments import Experiment
from stages.report.read.finished import FinishedRun
from stages.report.read.published import NOT_REPORTED, Published, read_published
from stages.report.read.systems import System
from stages.report.sections.protocol import Section
from store.files.outputs import write_lines

_HEADER = ("system", "metric", "measured as", "published", "measured", "difference")


@dataclass(frozen=True)
class Measured:
    """What one experiment or retrieval system was measured at.

    Attributes
    ----------
    means, deviations : mapping of str to float
    intervals : mapping of str to (float, float)
    """

    means: Mapping[str, float]
    deviations: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One system by one metric.

    Attributes
    ----------
    system, metric : str
        The metric by the paper's word.
    measured_as : str
        Ours; "" where nothing here measures it.
    published, mean, deviation : float or None
        None where the paper has none, the system was not run, or there is a single seed.
    interval : (float, float) or None
        Of the mean, where it is known.
    """

    system: str
    metric: str
    measured_as: str
    published: float | None
    mean: float | None = None
    deviation: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as texts, in the order of the columns; what was not run is blank."""
        published = NOT_REPORTED if self.published is None else _figure(self.published)
        return (self.system, self.metric, self.measured_as, published, self._measured(), self._difference())

    def _measured(self) -> str:
        if self.mean is None:
            return ""
        spread = "" if self.deviation is None else f" ± {_figure(self.deviation)}"
        ends = "" if self.interval is None else f" [{', '.join(map(_figure, self.interval))}]"
        return f"{_figure(self.mean)}{spread}{ends}"

    def _difference(self) -> str:
        return "" if self.mean is None or self.published is None else f"{self.mean - self.published:+.4f}"


@dataclass(frozen=True)
class PublishedSection(Section):
    """A published table beside what was measured.

    Attributes
    ----------
    published : Published
    lines : tuple of Line
        Those of the table, then other systems of the run.
    scored : str
        What the measured figures were taken on: it may be far from what the paper had.
    """

    name: ClassVar[str] = "published"
    title: ClassVar[str] = "Published and measured"

    published: Published
    lines: tuple[Line, ...]
    scored: str

    @classmethod
    def read(cls, run: FinishedRun) -> PublishedSection | None:
        """Compare with the figures that the params name; None where they name none."""
        if run.inputs.published is None:
            return None
        published = read_published(run.inputs.published, run.params.published or "published figures")
        one = run.best
        scored = f"{one.rows:,} rows of the {one.part} part of {run.info.source}, {len(run.manifest):,} items"
        return compare(published, run.board.experiments, run.systems, scored)

    def write(self, outputs: ReportOutputs) -> None:
        """Write the Markdown."""
        write_comparison(outputs.compare, self)

    @property
    def printed(self) -> list[Line]:
        """The lines of the systems that the paper has."""
        return [line for line in self.lines if line.system in self.published.systems]

    @property
    def others(self) -> list[Line]:
        """The lines of all other systems."""
        return [line for line in self.lines if line.system not in self.published.systems]

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return _HEADER

    @property
    def metrics(self) -> list[tuple[str, str, str]]:
        """Each metric by the paper's word, what it is measured as here, and what is to be known of it."""
        found = self.published.metrics.items()
        return [(name, ", ".join(each.measured) or "nothing here", each.meaning) for name, each in found]

    @property
    def notes(self) -> list[str]:
        """The remarks on single systems, then the notes on the table."""
        return [*(f"{name}: {text}" for name, text in self.published.remarks.items()), *self.published.notes]


def compare(
    published: Published, experiments: Sequence[Experiment], systems: Sequence[System], scored: str
) -> PublishedSection:
    """Lay the published figures beside those of this run.

    Parameters
    ----------
    published : Published
    experiments : sequence of Experiment
        In the order in which those that the paper does not have are to be listed.
    systems : sequence of System
        The retrieval systems.
    scored : str
        What the experiments were scored on.
    """
    measured = _measured(experiments, systems)
    others = [name for name in measured if name not in published.systems]
    lines = [
        line
        for name in (*published.systems, *others)
        for line in _lines(published, name, measured.get(name, Measured({})))
    ]
    return PublishedSection(published, tuple(lines), scored)


def _measured(experiments: Sequence[Experiment], systems: Sequence[System]) -> dict[str, Measured]:
    found = {one.name: Measured(one.means, one.deviations, one.intervals) for one in experiments}
    for one in systems:
        own = found.get(one.name, Measured({}))
        intervals = {**one.intervals, **own.intervals}
        found[one.name] = Measured({**one.metrics, **own.means}, own.deviations, intervals)
    return found


def _lines(published: Published, name: str, measured: Measured) -> Iterator[Line]:
    """Yield the lines of one system: of the paper's metrics, or for another system of those that it was measured by."""
    for metric in published.systems.get(name, published.metrics):
        figure = published.figure(name, metric)
        for ours in published.metrics[metric].measured or ("",):
            mean = measured.means.get(ours)
            if name in published.systems or mean is not None:
                yield Line(
                    name,
                    metric,
                    ours,
                    figure,
                    None if mean is None or math.isnan(mean) else mean,
                    measured.deviations.get(ours),
                    measured.intervals.get(ours),
                )


def write_comparison(path: Path, comparison: PublishedSection) -> None:
    """Write the comparison as Markdown: the table, what each metric is, and the notes."""
    published = comparison.published
    with write_lines(path) as stream:
        stream.write(f"# Published and measured\n\nPublished: {published.paper} {published.table}\n\n")
        stream.write(f"Measured: {comparison.scored}.\n\n")
        stream.write(_row(_HEADER) + _row(["---"] * 3 + ["---:"] * 3))
        stream.writelines(_row(line.cells) for line in comparison.lines)
        stream.write("\nA blank cell: not run, or nothing to compare. ± is the sample deviation over the seeds; in\n")
        stream.write("brackets the 95 % interval over other groups of the same kind.\n\n## Metrics\n\n")
        stream.writelines(f"- {name}, measured as {ours}: {text}\n" for name, ours, text in comparison.metrics)
        if comparison.notes:
            stream.write("\n## Notes\n\n")
            stream.writelines(f"- {note}\n" for note in comparison.notes)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _figure(value: float) -> str:
    return f"{value:.4f}"
