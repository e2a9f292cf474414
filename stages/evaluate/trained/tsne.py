"""The t-SNE panels of one model: rows, vectors, silhouettes; docs/systems/evaluation.md#t-sne."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from stages.contract import Progress
from stages.evaluate.params import HighlightParams, TsneParams
from stages.evaluate.trained.inside import Inside, Panel, Point
from stages.evaluate.trained.restored import Opened
from stages.evaluate.truth import Truth
from stages.models.catalog import did_you_mean
from stages.models.features.layout import Layer
from stages.models.heads.model import Array
from store.errors import InputError
from store.files.reading import read_regular_file

FEWEST = 5  # rows of a panel


@dataclass(frozen=True)
class Drawn:
    """The rows that are shown, in the order of the truth.

    Attributes
    ----------
    rows : ndarray of int64, [m]
        Positions in the truth.
    classes : ndarray of int64, [m]
        The class that each row bears among those drawn.
    marked : ndarray of bool, [m]
    """

    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    marked: NDArray[np.bool_]


def draw_rows(truth: Truth, params: TsneParams, listed: frozenset[str] = frozenset()) -> Drawn:
    """Draw classes by the seed, and rows that bear exactly one of them.

    Parameters
    ----------
    truth : Truth
        Of a classification.
    params : TsneParams
        The class of its `highlight` is always drawn.
    listed : frozenset of str
        Ids to mark in that class; they are kept before others when the class has too many rows.

    Raises
    ------
    InputError
        When the task has no classes, or there is no such class, or fewer rows than a panel needs.
    """
    if truth.labels is None:
        raise InputError(
            "evaluate.tsne: expected experiments with classes, by which its panels draw and tell rows; found the task "
            "regression; set `evaluate.tsne: null`."
        )
    rng = np.random.default_rng(params.seed)
    chosen = _classes(truth, params, rng)
    bears = truth.labels[:, chosen]  # [n, chosen]
    alone = bears.sum(axis=1) == 1
    wanted = np.array([name in listed for name in truth.ids], dtype=bool)
    wanted &= truth.labels[:, truth.classes.index(params.highlight.name)] if params.highlight else False
    kept = np.zeros(len(bears), dtype=bool)
    for column in range(len(chosen)):
        rows = rng.permutation(np.flatnonzero(alone & bears[:, column]))
        kept[rows[np.argsort(~wanted[rows], kind="stable")][: params.per_class]] = True
    rows = np.flatnonzero(kept)
    if len(rows) < FEWEST:
        raise InputError(
            f"evaluate.tsne: expected at least {FEWEST} {truth.part} rows that bear exactly one of the "
            f"{len(chosen)} drawn classes; found {len(rows)}; raise `classes` or `per_class`, or set it to null."
        )
    return Drawn(rows, chosen[bears[rows].argmax(axis=1)], wanted[rows])


def _classes(truth: Truth, params: TsneParams, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of the drawn classes, in their declared order."""
    known = np.flatnonzero(truth.labels.any(axis=0)) if truth.labels is not None else np.zeros(0, np.int64)
    always = [] if params.highlight is None else [_position(truth, params.highlight.name)]
    others = np.setdiff1d(known, always)
    more = rng.choice(others, min(max(params.classes - len(always), 0), len(others)), replace=False)
    return np.sort(np.concatenate([np.array(always, dtype=np.int64), more]))


def _position(truth: Truth, name: str) -> int:
    if name not in truth.classes:
        raise InputError(
            f"evaluate.tsne.highlight.class: expected a class of the manifest; found {name!r}"
            f"{did_you_mean(name, truth.classes)}; correct it."
        )
    return truth.classes.index(name)


def listed_ids(highlight: HighlightParams, known: frozenset[str]) -> frozenset[str]:
    """Read the ids to mark; `known` are those of the manifest.

    Raises
    ------
    InputError
        When the file cannot be read, holds no id, or one that no item has.
    """
    where = f"evaluate.tsne.highlight.ids: {highlight.ids}"
    try:
        text = read_regular_file(Path(highlight.ids)).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: expected a UTF-8 file of ids, one a line; found {error}; mend the path.") from error
    ids = frozenset(line.strip() for line in text.splitlines() if line.strip())
    if not ids:
        raise InputError(f"{where}: expected ids, one a line; found none; list some, or leave `highlight` out.")
    if strange := ids - known:
        first = min(strange)
        raise InputError(
            f"{where}: expected ids of the manifest; found {len(strange)} that are not, such as {first!r}"
            f"{did_you_mean(first, known) if len(known) < 10_000 else ''}; correct them."
        )
    return ids


_LOG = logging.getLogger("diptych.evaluate")


def objection(vectors: Array) -> str:
    """Say why vectors [n, D] cannot be drawn; nothing where they can."""
    if len(vectors) < FEWEST:
        return f"{len(vectors)} rows have it, and {FEWEST} are the fewest"
    if vectors.shape[1] < 2:
        return "its vectors are a single number"
    return "its vectors are all equal" if (vectors == vectors[0]).all() else ""


def fitting_perplexity(panel: str, rows: int, wanted: float) -> float:
    """Return the perplexity, which must be less than the rows: otherwise (rows - 1) / 3, with a warning."""
    if wanted < rows:
        return wanted
    fitting = (rows - 1) / 3
    _LOG.warning("t-SNE of %s: %d rows are too few for perplexity %g: %.3g instead", panel, rows, wanted, fitting)
    return fitting


def project(vectors: Array, perplexity: float, params: TsneParams) -> NDArray[np.float64]:
    """Return the places [n, 2] of vectors [n, D], which `objection` has nothing against."""
    with threadpool_limits(limits=1):  # several threads add up in an order of their own
        tsne = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=params.seed)
        return np.asarray(tsne.fit_transform(vectors), dtype=np.float64)


def separation(vectors: Array, classes: NDArray[np.int64]) -> float | None:
    """Return the mean silhouette [-1, 1] of vectors [n, D] by class [n], Euclidean.

    None with a single class, or where no two rows share one.
    """
    if not 1 < len(np.unique(classes)) < len(classes):
        return None
    with threadpool_limits(limits=1):
        return float(silhouette_score(vectors, classes))


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
