"""Set what two entries said of each row against each other: from their files to the tests of `stages.swaps`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import paths
from stages.items import Manifest
from stages.swaps import Paired, paired_f1, paired_mean

_RIGHT = frozenset({"accuracy", "subset_accuracy"})  # on a row the decision is the truth, or it is not


@dataclass(frozen=True)
class _Said:
    """What an experiment said: rows in the order of the file, cut by seed; all seeds have the same rows."""

    about: dict[str, Any]
    ids: list[str]
    groups: list[str]
    truth: list[Any]
    predicted: list[list[Any]]


def paired_experiments(first: str, second: str, metric: str) -> Paired | str:
    """Compare two experiments by what `evaluate` noted of their rows; the reason where that is not possible."""
    if metric not in {*_RIGHT, "f1_macro", "mse"}:
        return f"no paired test of {metric}: it is neither a mean over rows nor the macro F1"
    files = [paths.DATA / "evaluate" / name / "predictions.parquet" for name in (first, second)]
    said = [_read(path) for path in files]
    for name, each in zip((first, second), said, strict=True):
        if each is None:
            return f"no paired test: {name} has no sound table of predictions; run `dvc repro evaluate@{name}`"
    one, two = (each for each in said if each is not None)
    if (one.ids, one.truth, one.about.get("classes")) != (two.ids, two.truth, two.about.get("classes")):
        return f"no paired test: {first} and {second} were scored on other rows; run `dvc repro`"
    groups = _numbers(one.groups)
    if metric == "f1_macro":
        classes: list[str] = one.about["classes"]
        decisions = [[_labels(rows, classes) for rows in each.predicted] for each in (one, two)]
        return paired_f1(_labels(one.truth, classes), decisions[0], decisions[1], groups)
    return paired_mean(_per_row(one, metric), _per_row(two, metric), groups)


def _read(path: Path) -> _Said | None:
    try:
        table = pq.read_table(path, columns=["seed", "id", "group", "truth", "predicted"])
        about = json.loads((table.schema.metadata or {})[b"diptych"])
    except (OSError, KeyError, ValueError, pa.ArrowInvalid):
        return None
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    seeds = len(set(columns["seed"]))
    count = len(columns["id"]) // max(1, seeds)
    cuts = [slice(at * count, (at + 1) * count) for at in range(seeds)]
    ids, truth = columns["id"][:count], columns["truth"][:count]
    named = {name for row in (*columns["truth"], *columns["predicted"]) if isinstance(row, list) for name in row}
    if not count or any(columns["id"][cut] != ids for cut in cuts) or not named <= {*about.get("classes", ())}:
        return None
    return _Said(about, ids, columns["group"][:count], truth, [columns["predicted"][cut] for cut in cuts])


def _labels(rows: list[list[str]], classes: list[str]) -> NDArray[np.bool_]:
    """Return bool [n, K]."""
    place = {name: at for at, name in enumerate(classes)}
    labels = np.zeros((len(rows), len(classes)), np.bool_)
    for row, names in enumerate(rows):
        labels[row, [place[name] for name in names]] = True
    return labels


def _per_row(said: _Said, metric: str) -> NDArray[np.float64]:
    """Return what each row counts, the mean over the seeds, float64 [n]."""
    if metric == "mse":
        values = (np.asarray(said.predicted, np.float64) - np.asarray(said.truth, np.float64)) ** 2
    else:
        truth = [set(each) for each in said.truth]
        values = np.array(
            [[set(row) == true for row, true in zip(rows, truth, strict=True)] for rows in said.predicted]
        )
    return np.asarray(values.mean(axis=0), np.float64)


def paired_systems(first: str, second: str, metric: str) -> Paired | str:
    """Compare two retrieval systems by which queries they answer; the reason where that is not possible."""
    k = int(metric.removeprefix("top_"))
    for name in (first, second):
        if json.loads(paths.card("retrieve", name).read_text("utf-8")).get("n_unanswerable"):
            return f"no paired test: {name} has queries that nothing could answer, which its ranking does not name"
    answered = [_answered(name, k) for name in (first, second)]
    if answered[0].keys() != answered[1].keys() or not answered[0]:
        return f"no paired test: {first} and {second} were not asked the same queries; run `dvc repro`"
    manifest = Manifest.open(paths.MANIFEST)
    group = dict(zip(manifest.ids(), manifest.groups(), strict=True))
    names = list(answered[0])
    if any(name not in group for name in names):
        return f"no paired test: {first} was asked queries of another manifest; run `dvc repro`"
    one, two = (np.array([each[name] for name in names], np.float64) for each in answered)
    return paired_mean(one, two, _numbers([group[name] for name in names]))


def _answered(name: str, k: int) -> dict[str, bool]:
    """Tell of each query whether one of the first k found items is relevant; empty when the file cannot be read."""
    try:
        table = pq.read_table(paths.DATA / "retrieve" / f"{name}.parquet", filters=[("rank", "<=", k)])
        rows = zip(table.column("query").to_pylist(), table.column("relevant").to_pylist(), strict=True)
    except (OSError, KeyError, pa.ArrowInvalid):
        return {}
    found: dict[str, bool] = {}
    for query, relevant in rows:
        found[query] = found.get(query, False) or relevant
    return found


def _numbers(groups: list[str]) -> NDArray[np.int64]:
    return np.unique(np.array(groups, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
