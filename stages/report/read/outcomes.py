"""Reads `predictions.parquet` of `evaluate`: what an experiment said of each labelled row, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.report.read.cards import Cards
from store.errors import InputError
from store.items.manifest import Manifest
from store.items.records import Task

Values = NDArray[np.bool_] | NDArray[np.float64]
_COLUMNS = ["seed", "id", "group", "truth", "predicted"]
_TOP = ["top", "top_scores"]
_REMEDY = "run `diptych evaluate` again"


@dataclass(frozen=True)
class Tops:
    """The best classes of each row by one seed, best first.

    Attributes
    ----------
    classes : int64 [n, 5]
        Positions in the classes of the manifest; -1 after the last.
    scores : float32 [n, 5]
        NaN after the last.
    """

    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Outcomes:
    """What an experiment said of the labelled rows of the scored part.

    Attributes
    ----------
    ids : list of str, length n
        The same for every seed.
    rows : int64 [n]
        Their rows in the manifest.
    groups : int64 [n]
        The same number for rows of one group.
    truth : bool [n, K], or float64 [n] for a regression
    predicted : tuple of arrays like `truth`
        One for each seed, from the smallest on.
    tops : tuple of Tops
        One for each seed; none for a regression.
    """

    ids: list[str]
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    truth: Values
    predicted: tuple[Values, ...]
    tops: tuple[Tops, ...]


def read_outcomes(path: Path, cards: Cards) -> Outcomes | None:
    """Read the outcomes of one experiment; None when the file is not there or holds no row.

    Raises
    ------
    InputError
        When the file has another form, holds classes or items that the manifest does not have, or another truth, or
        its seeds are not about the same rows.
    """
    if not path.is_file():
        return None
    info = cards.manifest.info
    columns = [*_COLUMNS, *(() if info.task == "regression" else _TOP)]
    try:
        table = pq.read_table(path, columns=columns).combine_chunks()
        return _outcomes(table, path, cards) if table.num_rows else None
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise InputError(f"expected outcomes in {path}, found another file ({error}); {_REMEDY}") from error


def _outcomes(table: pa.Table, path: Path, cards: Cards) -> Outcomes:
    seeds = table.column("seed").to_numpy()
    parts = [table.filter(pa.array(seeds == seed)) for seed in np.unique(seeds)]
    ids = parts[0].column("id").to_pylist()
    if any(part.column("id").to_pylist() != ids for part in parts[1:]):
        raise InputError(f"expected the same rows for every seed in {path}, found others; {_REMEDY}")
    rows = cards.rows(ids, str(path))
    info = cards.manifest.info
    read = _reader(info.task, info.classes, path)
    truth, known = read(parts[0].column("truth")), _truth(cards.manifest, cards, rows)
    if not np.array_equal(truth, known):
        raise InputError(
            f"expected the truth of {cards.manifest.path} in {path}, found that of another manifest; {_REMEDY}"
        )
    groups = np.unique(np.array(parts[0].column("group").to_pylist(), dtype=np.str_), return_inverse=True)[1]
    tops = () if info.task == "regression" else tuple(_tops(part, info.classes, path) for part in parts)
    predicted = tuple(read(part.column("predicted")) for part in parts)
    return Outcomes(ids, rows, groups.astype(np.int64), truth, predicted, tops)


def _truth(manifest: Manifest, cards: Cards, rows: NDArray[np.int64]) -> Values:
    return manifest.targets()[rows] if manifest.info.task == "regression" else cards.truth[rows]


def _reader(task: Task, classes: Sequence[str], path: Path) -> Callable[[pa.ChunkedArray], Values]:
    def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
        values = np.asarray(column.to_numpy(), np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"expected finite values in {path}, found NaN or infinity; {_REMEDY}")
        return values

    def labels(column: pa.ChunkedArray) -> NDArray[np.bool_]:
        lengths, flat = _flat(column)
        matrix = np.zeros((len(lengths), len(classes)), np.bool_)
        matrix[np.repeat(np.arange(len(lengths)), lengths), _positions(flat, classes, path)] = True
        return matrix

    return numbers if task == "regression" else labels


def _flat(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], Any]:
    """Return how many entries each list has, and all entries on end."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    return lengths, pc.list_flatten(column)


def _positions(names: Any, classes: Sequence[str], path: Path) -> NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(names, value_set=pa.array(list(classes), pa.string())), -1)
    places = np.asarray(found.to_numpy(), np.int64)
    if (places < 0).any():
        unknown = names[int(np.flatnonzero(places < 0)[0])].as_py()
        raise InputError(f"expected classes of the manifest in {path}, found {unknown!r}; {_REMEDY}")
    return places


def _tops(part: pa.Table, classes: Sequence[str], path: Path) -> Tops:
    lengths, flat = _flat(part.column("top"))
    same, scores = _flat(part.column("top_scores"))
    if not np.array_equal(lengths, same):
        raise InputError(f"expected a score for each of the best classes in {path}, found another number; {_REMEDY}")
    width = int(lengths.max(initial=0))
    filled = np.arange(width) < lengths[:, None]
    places = np.full((len(lengths), width), -1, np.int64)
    places[filled] = _positions(flat, classes, path)
    values = np.full((len(lengths), width), np.nan, np.float32)
    values[filled] = scores.to_numpy()
    if not np.isfinite(values[filled]).all():
        raise InputError(f"expected finite scores in {path}, found NaN or infinity; {_REMEDY}")
    return Tops(places, values)
