"""The entries of train and retrieve that differ by one of their inputs alone, and what that did to their metric."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline import paths
from pipeline.paired import paired_experiments, paired_systems
from pipeline.params import Params
from pipeline.wire import features_of
from stages.outputs import read_small_json

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
        The paired interval and test of `stages.swaps`; None where `note` says why.
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
    # A card that is not there, or damaged, reads as not scored.
    cards = [read_small_json(paths.card(change.verb, name)) for name in (change.first, change.second)]
    metric = _metric(change, params, cards[0])
    change = replace(change, metric=metric)
    for name, card in zip((change.first, change.second), cards, strict=True):
        if not isinstance(card.get(metric), int | float):
            return replace(change, note=f"{name} has no {metric} yet; run `dvc repro {change.verb}@{name}`")
    one, two = (float(card[metric]) for card in cards)
    change = replace(change, first_value=one, second_value=two, difference=round(one - two, 6))
    judge = paired_experiments if change.verb == "evaluate" else paired_systems
    paired = judge(change.first, change.second, metric)
    if isinstance(paired, str):
        return replace(change, note=paired)
    return replace(change, low=round(paired.low, 6), high=round(paired.high, 6), p=round(paired.p, 6))


def _metric(change: Change, params: Params, card: dict[str, Any]) -> str:
    if change.verb == "retrieve":
        return f"top_{min(params.retrieve[change.first].k)}"
    return params.report.primary or ("mse" if card.get("task") == "regression" else "f1_macro")
