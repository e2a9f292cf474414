"""What experiments lose without an input, and what the data lacks by source: read, drawn and put into one section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure

from stages.report.draw.svg import BEST, GRID, IMAGE, MUTED, TEXT, WIDTH, Plot, Words, bare, draw
from stages.report.read.experiments import read_optional, read_rows
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import LOWER_IS_BETTER, Leaderboard
from stages.report.sections.protocol import Section
from stages.report.words import metric_name, shorten, signed
from store.items.records import IMAGE as PICTURE
from store.results.cards import EntryCard

_FULL, _WHOLE = "full", "all rows"
_MARKERS = "^v<>Pp*hHd"


@dataclass(frozen=True)
class Drops:
    """One experiment: the metric with all inputs, and for each condition the change by scope."""

    name: str
    full: float
    changes: Mapping[str, Mapping[str, float]]

    def told(self, condition: str) -> str:
        """Write the change on all rows, and in brackets that of the drawn classes; "" where there is no such input."""
        found = self.changes.get(condition, {})
        return " ".join(signed(value) if scope == _WHOLE else f"({signed(value)})" for scope, value in found.items())


@dataclass(frozen=True)
class Rate:
    """What the items of one source lack: for each field how many, and which share."""

    source: str
    rows: int
    missing: Mapping[str, tuple[int, float]]


@dataclass(frozen=True)
class MissingSection(Section):
    """The section; each attribute may be empty.

    Attributes
    ----------
    metric : str
        Which one the drops are of.
    conditions : tuple of str
        All that were taken away from any experiment.
    drops : tuple of Drops
        In the order of the leaderboard.
    classes : str
        The classes of the second scope.
    refused : mapping of str to str
        From a reason why nothing could be taken away to the experiments it holds for.
    plot : Plot or None
    rates : tuple of Rate
        By source and for all; none where the data set tells no sources.
    """

    name: ClassVar[str] = "missing"
    title: ClassVar[str] = "Missing inputs"

    metric: str
    conditions: tuple[str, ...]
    drops: tuple[Drops, ...]
    classes: str
    refused: Mapping[str, str]
    plot: Plot | None
    rates: tuple[Rate, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> MissingSection | None:
        """Read the section as `read_missing` does."""
        return read_missing(run.board, run.inputs.metrics, run.inputs.data)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the rates."""
        return tuple(self.rates[0].missing) if self.rates else ()


def read_missing(board: Leaderboard, metrics: Path, data: Path) -> MissingSection | None:
    """Read and draw the section; None where there is nothing to tell.

    Parameters
    ----------
    board : Leaderboard
        The experiments.
    metrics, data : Path
        The folder with `evaluate/`, and the one with `evaluate/` and `prepare/`.

    Raises
    ------
    InputError
        When a file is not what its stage writes.
    """
    tables = {
        one.name: read_rows(data / "evaluate" / one.name / "missing.csv", "condition", "scope", "note")
        for one in board.experiments
    }
    tables = {name: rows for name, rows in tables.items() if rows}
    rates = tuple(_rates(data / "prepare" / "summary.json"))
    if not tables and not rates:
        return None
    metric = _metric(board, next(iter(tables.values()), []))
    refused: dict[str, list[str]] = {}
    for name, rows in tables.items():
        for reason in (row["note"] for row in rows if row["note"]):
            refused.setdefault(reason, []).append(name)
    drops = tuple(_drops(name, rows, metric) for name, rows in tables.items() if not any(row["note"] for row in rows))
    conditions = _ordered(condition for one in drops for condition in one.changes)
    plot = _plot(board, drops, conditions, metric) if drops else None
    reasons = {reason: ", ".join(names) for reason, names in refused.items()}
    return MissingSection(metric, conditions, drops, _classes(metrics, tables), reasons, plot, rates)


def _metric(board: Leaderboard, rows: Sequence[Mapping[str, str]]) -> str:
    """Return the metric of the leaderboard where the test has it, and else the one of the task."""
    known = rows[0] if rows else {}
    return board.primary if board.primary in known else "mse" if "mse" in known else "f1_macro"


def _drops(name: str, rows: Sequence[Mapping[str, str]], metric: str) -> Drops:
    changes: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["condition"] != _FULL:
            changes.setdefault(row["condition"], {})[row["scope"]] = float(row[f"{metric}_delta"])
    full = next(float(row[metric]) for row in rows if (row["condition"], row["scope"]) == (_FULL, _WHOLE))
    return Drops(name, full, changes)


def _ordered(conditions: Iterator[str]) -> tuple[str, ...]:
    """Order the conditions of all experiments: the picture first, all texts last."""
    found = dict.fromkeys(conditions)
    return tuple(sorted(found, key=lambda name: (not _is_picture(name), name == "without all texts")))


def _is_picture(condition: str) -> bool:
    return condition == f"without {PICTURE}"


def _classes(metrics: Path, names: Mapping[str, Any]) -> str:
    """Return the drawn classes, which are the same for all experiments."""
    found = (EntryCard.read(metrics / "evaluate" / f"{name}.json").made_of.get("missing_classes") for name in names)
    return next((str(each) for each in found if each), "")


def _rates(path: Path) -> Iterator[Rate]:
    rows = read_optional(path).get("missing_by", ())
    for row in rows if len(rows) > 1 else ():
        missing = {field: (count, row["share"][field]) for field, count in row["missing"].items()}
        yield Rate(row["source"], row["rows"], missing)


def _plot(board: Leaderboard, drops: Sequence[Drops], conditions: Sequence[str], metric: str) -> Plot:
    """Draw a dot for each experiment and condition, tied to zero."""
    name = metric_name(metric)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, one in enumerate(drops):
            values = [change[_WHOLE] for change in one.changes.values()]
            axes.plot([min(0, *values), max(0, *values)], [place, place], color=GRID, lw=2.5, zorder=1)
        axes.axvline(0, color=MUTED, lw=1, zorder=2)
        for at, condition in enumerate(conditions):
            known = [(place, one.changes[condition]) for place, one in enumerate(drops) if condition in one.changes]
            colour, marker = _look(condition, at)
            x, y = [change[_WHOLE] for _, change in known], [place for place, _ in known]
            axes.plot(x, y, marker, color=colour, ms=7, label=shorten(condition), zorder=3)
        axes.set_yticks(range(len(drops)), [shorten(one.name) for one in drops])
        axes.set_ylim(len(drops) - 0.4, -0.6)
        axes.set_xlabel(f"change of {name}" + (" (more is worse)" if metric in LOWER_IS_BETTER else ""))
        axes.margins(x=0.08)
        bare(axes)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.3, columnspacing=1.2)

    told = "; ".join(
        f"{one.name} {', '.join(f'{each} {one.told(each)}' for each in one.changes)}" for one in drops[:12]
    )
    words = Words(
        f"What is lost without an input: {name}",
        f"Trained models, scored on the whole {board.experiments[0].part} part with one input taken away from every "
        "row; nothing is trained again. Means over the seeds.",
        f"Dot plot of the change of {name} without each input: {told}.",
    )
    return draw("plot-missing", words, (WIDTH, 1.0 + 0.3 * len(drops)), paint)


def _look(condition: str, at: int) -> tuple[str, str]:
    if _is_picture(condition):
        return IMAGE, "s"
    return (BEST, "o") if condition == "without all texts" else (TEXT, _MARKERS[at % len(_MARKERS)])
