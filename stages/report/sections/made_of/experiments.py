"""A panel for every experiment and retrieval system: what it is made of, its figures and files, how to remake it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from stages.report.inputs import Asked, Setting, settings, written
from stages.report.read.experiments import Experiment
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import KINDS, Leaderboard
from stages.report.read.matrices import MatrixRow, Step, trail
from stages.report.read.systems import System, measure_name
from stages.report.sections.protocol import Section
from stages.report.words import anchor, bracketed, metric_name, number, spread
from store.results.cards import EntryCard

_SHOWN_ELSEWHERE = ("features", "fusion", "head", "task")
_MISSING = ("missing", "missing_classes")  # has a section of its own


@dataclass(frozen=True)
class Figure:
    """One metric: its key and name, its value, and where they are known its deviation and the ends of its interval."""

    key: str
    name: str
    value: str
    deviation: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Panel:
    """One experiment or retrieval system in full.

    Attributes
    ----------
    anchor : str
        Its place on the page.
    verb, name : str
        The verb that scores it, and the entry.
    line : str
        What is seen of it while the panel is closed.
    made : tuple of (str, str)
        Fusion and head, or the search.
    trail : tuple of Step
        The matrices that it reads, back to the encoders.
    settings : tuple of Setting
        What params.yaml asks of it, and the defaults beside that.
    figures : tuple of Figure
    facts : tuple of (str, str)
        All else that its metrics file says.
    files : tuple of str
        What it left, from the project's root.
    command : str
        Makes it again.
    curve : bool
        Whether the plot of learning curves shows it.
    """

    anchor: str
    verb: str
    name: str
    line: str
    made: tuple[tuple[str, str], ...]
    trail: tuple[Step, ...]
    settings: tuple[Setting, ...]
    figures: tuple[Figure, ...]
    facts: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    command: str
    curve: bool = False


@dataclass(frozen=True)
class Sources:
    """What panels are made from.

    Attributes
    ----------
    metrics, data : Path
        The folders with what the verbs wrote.
    matrices : mapping of str to MatrixRow
        All matrices of the run.
    asked, defaults : mapping
        What params.yaml asks of each verb's entries, and what holds where it says nothing.
    """

    metrics: Path
    data: Path
    matrices: Mapping[str, MatrixRow]
    asked: Asked
    defaults: Asked

    def settings(self, verb: str, name: str) -> tuple[Setting, ...]:
        """Return the settings of one entry."""
        entry, rest = (part.get(verb, {}).get(name, {}) for part in (self.asked, self.defaults))
        return tuple(settings(entry, rest, hidden=_SHOWN_ELSEWHERE))

    def files(self, *patterns: str) -> tuple[str, ...]:
        """Return the files that there are, from the project's root."""
        root = self.data.parent
        found = [path for pattern in patterns for path in self._matching(pattern) if path.is_file()]
        return tuple(path.relative_to(root).as_posix() for path in found)

    def _matching(self, pattern: str) -> list[Path]:
        folder, _, last = pattern.rpartition("/")
        where = (self.metrics if folder.startswith("metrics") else self.data).parent / folder
        return sorted(where.glob("*")) if last == "*" else [where / last]


@dataclass(frozen=True)
class ExperimentSection(Section):
    """The experiments, then the retrieval systems, each in full; `learning` where the page has learning curves."""

    name: ClassVar[str] = "experiments"
    title: ClassVar[str] = "Experiments"

    panels: tuple[Panel, ...]
    learning: bool

    @classmethod
    def read(cls, run: FinishedRun) -> ExperimentSection:
        """Put the panels together."""
        matrices = {row.name: row for row in run.matrices}
        inputs = run.inputs
        sources = Sources(inputs.metrics, inputs.data, matrices, inputs.asked, inputs.defaults)
        panels = [*experiment_panels(run.board, sources), *retrieval_panels(run.systems, sources)]
        return cls(tuple(panels), run.closer)


def experiment_panels(board: Leaderboard, sources: Sources) -> list[Panel]:
    """Return a panel per experiment, in the order of the leaderboard."""
    return [_experiment(one, board, sources, KINDS[board.kinds[one.name]]) for one in board.experiments]


def _experiment(one: Experiment, board: Leaderboard, sources: Sources, kind: str) -> Panel:
    name, main = one.name, board.primary
    deviation = f" ± {spread(one, main)}" if spread(one, main) else ""
    card = EntryCard.read(sources.metrics / "evaluate" / f"{name}.json")
    history = f"data/train/{name}.history.csv"
    return Panel(
        anchor=anchor("experiment", name),
        verb="evaluate",
        name=name,
        line=f"{metric_name(main)} {number(one.means[main])}{deviation} · {kind}",
        made=(("fusion", one.fusion), ("head", one.head)),
        trail=trail(one.features, sources.matrices),
        settings=sources.settings("train", name),
        figures=tuple(_figure(one, column) for column in board.columns if column in one.means),
        facts=_facts(card),
        files=sources.files(
            f"data/train/{name}.parquet", history, f"data/evaluate/{name}/*", f"metrics/evaluate/{name}.json"
        ),
        command=f"dvc repro {shlex.quote(f'evaluate@{name}')}",
        curve=_has_rows(sources.data.parent / history),
    )


def _figure(one: Experiment, metric: str) -> Figure:
    interval = bracketed(one.intervals.get(metric))
    return Figure(metric, metric_name(metric), number(one.means[metric]), spread(one, metric), interval)


def _facts(card: EntryCard) -> tuple[tuple[str, str], ...]:
    """Return what a card says beyond metrics, without what has a place of its own on the page."""
    told = {**card.counts, **card.made_of}
    left = {name: value for name, value in told.items() if name not in (*_SHOWN_ELSEWHERE, *_MISSING)}
    return tuple((name.removeprefix("n_").replace("_", " "), written(value)) for name, value in sorted(left.items()))


def _has_rows(path: Path) -> bool:
    """Tell whether a table has more than its header."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as stream:
        return sum(1 for _, _ in zip(range(2), stream, strict=False)) == 2


def retrieval_panels(systems: Sequence[System], sources: Sources) -> list[Panel]:
    """Return a panel per retrieval system."""
    return [_retrieval(one, sources) for one in systems]


def _retrieval(one: System, sources: Sources) -> Panel:
    name, metrics, lead = one.name, one.metrics, one.lead
    features = [part for part in one.features.split(" + ") if part]
    words = "first find relevant" if lead == "top_1" else measure_name(lead or "")
    told = f"{words}: {number(metrics[lead])}" if lead else ""
    return Panel(
        anchor=anchor("retrieval", name),
        verb="retrieve",
        name=name,
        line=told,
        made=(("search", str(one.told.made_of.get("head", "knn"))),),
        trail=trail(features, sources.matrices),
        settings=sources.settings("retrieve", name),
        figures=tuple(
            Figure(key, metric_name(key), number(value), "", bracketed(one.intervals.get(key)))
            for key, value in metrics.items()
        ),
        facts=_facts(one.told),
        files=sources.files(
            f"data/retrieve/{name}.parquet", f"data/retrieve/{name}.curve.csv", f"metrics/retrieve/{name}.json"
        ),
        command=f"dvc repro {shlex.quote(f'retrieve@{name}')}",
    )
