"""Entries of train and retrieve that differ by one input alone, and what that did to their metric, row against row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import paths
from pipeline.params.sections import Params
from pipeline.wiring import features_of
from stages.models.measures.swaps import Paired, paired_f1, paired_mean
from store.items.manifest import Manifest
from store.results.cards import EntryCard

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
        if EntryCard.read(paths.card("retrieve", name)).counts.get("n_unanswerable"):
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


_HOLE = "\0"  # in no name of an entry
Judged = Literal["evaluate", "retrieve"]


@dataclass(frozen=True)
class Change:
    """Two entries that are the same but for the input in question.

    Attributes
    ----------
    verb : {"evaluate", "retrieve"}
        Which stage scored them.
    first, second : str
        The entries.
    metric : str
        The main one: of an experiment `report.primary`, f1_macro or mse, of a retrieval top_K with its smallest K.
    first_value, second_value, difference : float or None
        None where an entry has not been scored yet; the difference is first minus second.
    low, high, p : float or None
        The paired interval and test of `stages.models.measures.swaps`; None where `note` says why.
    note : str
        What is not known and how to come by it; "" when all is known.
    """

    verb: Judged
    first: str
    second: str
    metric: str = ""
    first_value: float | None = None
    second_value: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    note: str = ""


def changes(params: Params, first: str, second: str) -> list[Change]:
    """Find the pairs and read what is known of them.

    An input may stand behind a reduction or a fusion: what counts is what an entry computes, not how it calls it.
    """
    sections: dict[str, Judged] = {"train": "evaluate", "retrieve": "retrieve"}
    found = []
    for section, verb in sections.items():
        ones, others = (dict(_shapes(params, section, name)) for name in (first, second))
        pairs = ((one, other) for one, shape in ones.items() for other, same in others.items() if shape == same)
        found += [_judged(Change(verb, *pair), params) for pair in pairs]
    return found


def _shapes(params: Params, section: str, feature: str) -> Iterator[tuple[str, str]]:
    """Yield each entry that reads the feature, and all that decides its result with a hole in that place."""
    for name in getattr(params, section):
        shape = _shape(params, section, name, feature)
        if shape != _shape(params, section, name, None):
            yield name, json.dumps(shape, sort_keys=True)


def _shape(params: Params, section: str, name: str, hole: str | None) -> dict[str, Any]:
    entry = getattr(params, section)[name]
    return {**entry.model_dump(mode="json"), "features": [_input(params, each, hole) for each in features_of(entry)]}


def _input(params: Params, name: str, hole: str | None) -> Any:
    if name == hole:
        return _HOLE
    verb = params.matrices.producer_of[name]
    return name if verb == "embed" else {verb: _shape(params, verb, name, hole)}


def _judged(change: Change, params: Params) -> Change:
    """Read both metrics, and where rows can be set against rows the interval of their difference."""
    cards = [EntryCard.read_sound(paths.card(change.verb, name)) for name in (change.first, change.second)]
    metric = _metric(change, params, cards[0])
    change = replace(change, metric=metric)
    for name, card in zip((change.first, change.second), cards, strict=True):
        if metric not in card.means:
            return replace(change, note=f"{name} has no {metric} yet; run `dvc repro {change.verb}@{name}`")
    one, two = (card.means[metric] for card in cards)
    change = replace(change, first_value=one, second_value=two, difference=round(one - two, 6))
    judge = paired_experiments if change.verb == "evaluate" else paired_systems
    paired = judge(change.first, change.second, metric)
    if isinstance(paired, str):
        return replace(change, note=paired)
    return replace(change, low=round(paired.low, 6), high=round(paired.high, 6), p=round(paired.p, 6))


def _metric(change: Change, params: Params, card: EntryCard) -> str:
    if change.verb == "retrieve":
        return f"top_{min(params.retrieve[change.first].k)}"
    return params.report.primary or ("mse" if card.made_of.get("task") == "regression" else "f1_macro")
