"""The t-SNE panels of one model: inputs, their own layers, fused vectors; docs/systems/evaluation.md#t-sne."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.evaluate.inside import Inside, Panel, Point
from stages.evaluate.opened import Opened
from stages.evaluate.params import TsneParams
from stages.evaluate.tsne import fitting_perplexity, objection, project, separation
from stages.evaluate.tsne_rows import Drawn
from stages.fusions.layers import Layer
from stages.heads.model import Array

_LOG = logging.getLogger("diptych.evaluate")


@dataclass(frozen=True)
class Shown:
    """What one panel shows: vectors [m, D] of those drawn rows that have them, `here` [m] of the drawn ones."""

    panel: str
    kind: str
    vectors: Array
    here: NDArray[np.int64]


def draw_panels(opened: Opened, params: TsneParams, drawn: Drawn, name: str, progress: Progress) -> Inside:
    """Return the panels of the drawn rows, in the order of the layers of the model, without the weights.

    A panel shows the rows that have its input, the fused one those that have any. One with too few rows, or vectors
    that are no plane, is left out; the facts say which and why.
    """
    points: list[Point] = []
    panels: list[Panel] = []
    left_out: list[str] = []
    shown = list(_shown(opened, drawn))
    with progress.track(f"t-SNE {name}", len(shown)) as bar:
        for one in shown:
            if reason := objection(one.vectors):
                left_out.append(f"{one.panel}: {reason}")
                _LOG.warning("%s: no t-SNE panel of %s", name, left_out[-1])
            else:
                panels.append(_panel(one, drawn, params))
                points += _points(one, panels[-1], opened, drawn, params)
            bar.advance()
    classes = [opened.truth.classes[at] for at in np.unique(drawn.classes)]
    facts = {"tsne_classes": ", ".join(classes), **({"tsne_left_out": "; ".join(left_out)} if left_out else {})}
    return Inside((), tuple(points), tuple(panels), facts)


def _shown(opened: Opened, drawn: Drawn) -> Iterator[Shown]:
    vectors: dict[Layer, list[Array]] = defaultdict(list)
    there = []
    for block in opened.blocks(drawn.rows):
        for layer, found in opened.model.layers(block).items():
            vectors[layer].append(np.array(found))  # of a view the whole block would stay in memory
        there.append(opened.present(block))
    present = np.concatenate(there)
    for layer, parts in vectors.items():
        here = np.flatnonzero(present.any(axis=1) if layer.at is None else present[:, layer.at])
        yield Shown(_name(layer, opened.inputs), layer.kind, np.concatenate(parts)[here], here)


def _name(layer: Layer, inputs: tuple[str, ...]) -> str:
    """Return what a panel is called; a name with a blank is no feature's."""
    if layer.at is None:
        return "fused vectors"
    return inputs[layer.at] if layer.kind == "raw" else f"{inputs[layer.at]} tuned"


def _panel(one: Shown, drawn: Drawn, params: TsneParams) -> Panel:
    classes, rows = drawn.classes[one.here], len(one.here)
    perplexity = fitting_perplexity(one.panel, rows, params.perplexity)
    apart = separation(one.vectors, classes)
    return Panel(one.panel, one.kind, rows, len(np.unique(classes)), perplexity, apart)


def _points(one: Shown, panel: Panel, opened: Opened, drawn: Drawn, params: TsneParams) -> Iterator[Point]:
    places, truth = project(one.vectors, panel.perplexity, params), opened.truth
    for at, (x, y) in zip(one.here.tolist(), places.tolist(), strict=True):
        name, row = truth.classes[drawn.classes[at]], truth.ids[drawn.rows[at]]
        yield Point(one.panel, one.kind, row, name, x, y, int(drawn.marked[at]))
