"""Which rows the t-SNE panels show and mark, so many of each drawn class; docs/systems/evaluation.md#t-sne."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.errors import InputError
from stages.evaluate.params import HighlightParams, TsneParams
from stages.evaluate.readings import Truth
from stages.files import read_regular_file
from stages.nearest import did_you_mean

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
