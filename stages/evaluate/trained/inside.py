"""What a trained experiment looks like inside, and its tables; `looking` fills them, `run` writes them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from stages.evaluate.params import EvaluateParams, TsneParams
from stages.models.fusions.catalog import FUSIONS
from store.files.outputs import safe_cell, write_lines


@dataclass(frozen=True)
class Look:
    """What shall be looked at in one experiment: the weights of its inputs, its vectors, or neither."""

    weights: bool
    tsne: TsneParams | None

    @classmethod
    def asked(cls, params: EvaluateParams, name: str, fusion: str) -> Self:
        """Return what the params ask of the experiment `name`, as far as its fusion has it."""
        listed = params.tsne is not None and name in params.tsne.experiments
        weighs = fusion in FUSIONS and FUSIONS[fusion].weighs
        return cls(params.weights and weighs, params.tsne if listed else None)

    def __bool__(self) -> bool:
        return self.weights or self.tsne is not None


@dataclass(frozen=True)
class WeightRow:
    """The mean weight [0, 1] of an input over `rows` that bear a class; the name of the class stands first."""

    name: str
    input: str
    weight: float
    rows: int


@dataclass(frozen=True)
class Point:
    """A row of one panel: its id and class, its place, and 1 where it is marked."""

    panel: str
    kind: str
    id: str
    name: str
    x: float
    y: float
    highlight: int


@dataclass(frozen=True)
class Panel:
    """One panel: its rows and how many classes these bear, the perplexity that t-SNE took.

    Attributes
    ----------
    silhouette : float or None
        How well the classes stand apart, [-1, 1], in the vectors that the panel shows and not in its two dimensions;
        None with one class alone.
    """

    panel: str
    kind: str
    rows: int
    classes: int
    perplexity: float
    silhouette: float | None


@dataclass(frozen=True)
class Inside:
    """What was found; empty where nothing was asked for.

    Attributes
    ----------
    facts : mapping
        For the card, beside what the experiment is made of.
    """

    weights: tuple[WeightRow, ...] = ()
    points: tuple[Point, ...] = ()
    panels: tuple[Panel, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `weights.csv`, `tsne.csv` and `tsne_panels.csv`; headers alone where there is nothing to tell."""
        _write(folder / "weights.csv", WeightRow, self.weights)
        _write(folder / "tsne.csv", Point, self.points)
        _write(folder / "tsne_panels.csv", Panel, self.panels)


def _write(path: Path, kind: type[Any], rows: tuple[Any, ...]) -> None:
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow("class" if each.name == "name" else each.name for each in fields(kind))
        writer.writerows([_cell(each) for each in astuple(row)] for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, str):
        return safe_cell(value)
    # Plus zero, so that no zero is written with a minus sign.
    return "" if value is None else f"{round(value, 6) + 0.0:.6f}" if isinstance(value, float) else str(value)
