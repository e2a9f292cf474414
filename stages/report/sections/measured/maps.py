"""The t-SNE panels of an experiment, raw beside tuned beside fused: read from `tsne.csv`, drawn through `scatter`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from stages.report.draw.scatter import Cloud, Look, legend, scatter
from stages.report.read.cards import Card, Cards
from stages.report.read.finished import FinishedRun
from stages.report.read.leaderboard import Leaderboard
from stages.report.read.tables import Row, read_table
from stages.report.sections.protocol import Section
from store.errors import InputError

LANDMARKS = 6
_KINDS = {"raw": "as encoded", "tuned": "tuned", "fused": "fused"}
_Key = tuple[str, str]


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes
    ----------
    title : str
        Which vectors, and how far apart their classes are.
    caption : str
        The counts.
    svg : Markup
    """

    title: str
    caption: str
    svg: Markup


@dataclass(frozen=True)
class Landmark:
    """An item that is numbered in the first fused panel and shown beside it."""

    number: str
    label: str
    card: Card


@dataclass(frozen=True)
class Maps:
    """The panels of one experiment.

    Attributes
    ----------
    experiment : str
    legend : tuple of (Look, str)
        The marker of each class.
    panels : tuple of Panel
    landmarks : tuple of Landmark
        Typical items of some classes; none without pictures or without a fused panel.
    ringed : bool
        Whether some points are highlighted.
    """

    experiment: str
    legend: tuple[tuple[Look, str], ...]
    panels: tuple[Panel, ...]
    landmarks: tuple[Landmark, ...]
    ringed: bool


@dataclass(frozen=True)
class MapSection(Section):
    """The maps of all experiments that have some."""

    name: ClassVar[str] = "maps"
    title: ClassVar[str] = "Maps of the vectors"

    maps: tuple[Maps, ...]

    @classmethod
    def read(cls, run: FinishedRun) -> MapSection | None:
        """Draw the maps; None where there are none."""
        maps = read_maps(run.board, run.cards, run.evaluated)
        return cls(tuple(maps)) if maps else None


def read_maps(board: Leaderboard, cards: Cards, folder: Path) -> list[Maps]:
    """Read and draw the panels of every experiment that has some, in the order of the leaderboard.

    Parameters
    ----------
    board : Leaderboard
        The experiments.
    cards : Cards
        Makes what the page shows of items.
    folder : Path
        `data/evaluate`.

    Raises
    ------
    InputError
        When a table is malformed, or about items of another manifest.
    """
    found = []
    for place, one in enumerate(board.experiments):
        path = folder / one.name / "tsne.csv"
        points = read_table(path, ("panel", "kind", "id", "class"), ("x", "y", "highlight"))
        if points:
            cards.rows([row.texts["id"] for row in points], str(path))
            found.append(_maps(place, one.name, points, _facts(path), cards))
    return found


def _facts(path: Path) -> dict[_Key, Row]:
    rows = read_table(
        path.with_name("tsne_panels.csv"), ("panel", "kind"), ("rows", "perplexity"), blank=("silhouette",)
    )
    return {_key(row): row for row in rows}


def _key(row: Row) -> _Key:
    return row.texts["panel"], row.texts["kind"]


def _maps(place: int, experiment: str, points: Sequence[Row], facts: Mapping[_Key, Row], cards: Cards) -> Maps:
    labels = sorted({row.texts["class"] for row in points})
    panels: dict[_Key, list[Row]] = {}
    for row in points:
        panels.setdefault(_key(row), []).append(row)
    lost = [key for key in panels if key not in facts]
    if lost:
        raise InputError(
            f"expected the panel {' '.join(lost[0])!r} of {experiment} in tsne_panels.csv, found none; "
            "run `diptych evaluate` again"
        )
    first = next((key for key in panels if key[1] == "fused"), None)
    chosen = _typical(panels[first], cards) if first is not None else {}
    drawn = [
        _panel(f"tsne-{place}-{at}", key, rows, facts[key], labels, chosen if key == first else {})
        for at, (key, rows) in enumerate(panels.items())
    ]
    shown = [] if first is None else [(text, panels[first][at]) for at, text in chosen.items()]
    made = cards.of(cards.rows([row.texts["id"] for _, row in shown], experiment)) if shown else []
    marks = [Landmark(text, row.texts["class"], card) for (text, row), card in zip(shown, made, strict=True)]
    ringed = any(row.numbers["highlight"] > 0 for row in points)
    return Maps(experiment, tuple(legend(labels)), tuple(drawn), tuple(marks), ringed)


def _panel(
    name: str, key: _Key, rows: Sequence[Row], fact: Row, labels: Sequence[str], numbered: Mapping[int, str]
) -> Panel:
    order = {label: place for place, label in enumerate(labels)}
    ringed = np.array([row.numbers["highlight"] > 0 for row in rows], np.bool_)
    classes = np.array([order[row.texts["class"]] for row in rows], np.int64)
    cloud = Cloud(_places(rows), classes, ringed, numbered)
    far = fact.numbers["silhouette"]
    kind = _KINDS.get(key[1], key[1])
    title = key[0] if kind in key[0].split() else f"{key[0]}, {kind}"
    silhouette = "silhouette unknown" if math.isnan(far) else f"silhouette {far:.3f}".replace("-", "−")
    rings = f", {int(ringed.sum()):,} of them ringed" if ringed.any() else ""
    caption = f"{len(rows):,} items{rings}; perplexity {fact.numbers['perplexity']:g}"
    counts = Counter(row.texts["class"] for row in rows)
    told = ", ".join(f"{label} {counts[label]:,}" for label in labels if counts[label])
    alt = f"t-SNE map of {title}: {caption}; {silhouette}. Items by class: {told}."
    return Panel(f"{title}: {silhouette}", caption, scatter(name, cloud, alt))


def _places(rows: Sequence[Row]) -> NDArray[np.float64]:
    return np.array([[row.numbers["x"], row.numbers["y"]] for row in rows])


def _typical(rows: Sequence[Row], cards: Cards) -> dict[int, str]:
    """Choose for each class the item with a picture that is nearest to the middle of its class."""
    places, classes = _places(rows), np.array([row.texts["class"] for row in rows])
    images = cards.manifest.images(cards.rows([row.texts["id"] for row in rows], "tsne.csv"))
    pictured = np.array([image is not None for image in images])
    chosen: dict[int, str] = {}
    for label in sorted(set(classes.tolist())):
        mine = np.flatnonzero((classes == label) & pictured)
        if len(mine) and len(chosen) < LANDMARKS:
            apart = np.linalg.norm(places[mine] - np.median(places[classes == label], axis=0), axis=1)
            chosen[int(mine[apart.argmin()])] = str(len(chosen) + 1)
    return chosen
