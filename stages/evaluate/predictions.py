"""The file of what was predicted, row by row and by names: for people, and for whoever counts in another way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.evaluate.metrics import Bools, Scores
from stages.evaluate.readings import Truth

_TOP = 5
_BLOCK_CELLS = 1 << 22  # of scores searched at once
_NAMES, _NUMBERS = pa.list_(pa.string()), pa.list_(pa.float32())
_ROWS = [("seed", pa.int32()), ("id", pa.string()), ("group", pa.string())]
_CLASSES = [("truth", _NAMES), ("predicted", _NAMES), ("top", _NAMES), ("top_scores", _NUMBERS)]
_VALUES = [("truth", pa.float64()), ("predicted", pa.float64())]


def write_predictions(
    path: Path, truth: Truth, groups: Sequence[str], scores: Mapping[int, Scores], decisions: Sequence[Bools]
) -> None:
    """Write one row per seed and labelled row, a seed at a time.

    Parameters
    ----------
    path : Path
    truth : Truth
    groups : sequence of str, [n]
        The name of each row's group.
    scores : mapping of int to ndarray of float32, [n, K]
        For each seed, or [n, 1] for regression.
    decisions : sequence of ndarray of bool, [n, K]
        For each seed; empty for regression.
    """
    about = {"task": truth.task, "part": truth.part, "classes": list(truth.classes), "manifest": truth.manifest}
    metadata = {b"diptych": json.dumps(about, ensure_ascii=False, sort_keys=True).encode()}
    schema = pa.schema([*_ROWS, *(_VALUES if truth.labels is None else _CLASSES)], metadata=metadata)
    classes = pa.array(truth.classes, pa.string())
    rows = [pa.array(truth.ids, pa.string()), pa.array(groups, pa.string())]
    with pq.ParquetWriter(path, schema) as writer:
        for number, (seed, each) in enumerate(scores.items()):
            if truth.labels is None:
                shown = [pa.array(truth.targets), pa.array(each[:, 0].astype(np.float64))]
            else:
                named = [_named(classes, of) for of in (truth.labels, decisions[number])]
                shown = [*named, *_top(classes, each)]
            seeds = pa.array(np.full(len(each), seed, dtype=np.int32))
            writer.write_table(pa.Table.from_arrays([seeds, *rows, *shown], schema=schema))


def top_classes(scores: Scores, count: int) -> NDArray[np.int64]:
    """Return the best classes of scores [n, K], the best first and equal ones by the lower index: [n, count or K]."""
    width = min(count, scores.shape[1])
    found = np.empty((len(scores), width), dtype=np.int64)
    step = max(1, _BLOCK_CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), step):
        left = scores[start : start + step].copy()
        for place in range(width):
            best = left.argmax(axis=1)
            found[start : start + step, place] = best
            left[np.arange(len(left)), best] = -np.inf
    return found


def _top(classes: pa.StringArray, scores: Scores) -> list[pa.ListArray]:
    top = top_classes(scores, _TOP)
    offsets = pa.array(np.arange(0, top.size + 1, top.shape[1], dtype=np.int32))
    best = np.take_along_axis(scores, top, axis=1)
    values = (classes.take(pa.array(top.ravel())), pa.array(best.ravel()))
    return [pa.ListArray.from_arrays(offsets, each) for each in values]


def _named(classes: pa.StringArray, bears: Bools) -> pa.ListArray:
    """Return the names of the classes that each row bears."""
    offsets = np.concatenate([[0], bears.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), classes.take(pa.array(np.nonzero(bears)[1])))
