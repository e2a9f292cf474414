"""What the test of missing inputs found, and its table `missing.csv`; `robustness` fills it, `run` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stages.contract import Task
from stages.evaluate.conditions import WHOLE


@dataclass(frozen=True)
class Outcome:
    """The metrics of one condition on one scope, means over the seeds, and their differences to the full condition."""

    condition: str
    scope: str
    rows: int
    means: Mapping[str, float]
    deltas: Mapping[str, float]


@dataclass(frozen=True)
class Robustness:
    """What the test found.

    Attributes
    ----------
    outcomes : tuple of Outcome
        The full condition first; empty where no test was asked for.
    refused : str
        Why nothing could be taken away; empty where it could.
    facts : mapping
        Flat, for the file of metrics.
    """

    outcomes: tuple[Outcome, ...] = ()
    refused: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def metric_names(task: Task, top_k: int) -> tuple[str, ...]:
    """Return which metrics are told of each condition."""
    if task == "regression":
        return ("mse",)
    if task == "multilabel":
        return ("f1_macro", "subset_accuracy")
    return ("accuracy", f"top_{top_k}", "f1_macro") if top_k > 1 else ("accuracy", "f1_macro")


def missing_lines(names: tuple[str, ...], robustness: Robustness) -> Iterator[list[str]]:
    """Yield the header and the rows of the table; the header alone where nothing was tested."""
    deltas = [f"{name}_delta" for name in names]
    yield ["condition", "scope", "rows", *names, *deltas, "note"]
    for each in robustness.outcomes:
        numbers = [f"{values[name]:.6f}" for values in (each.means, each.deltas) for name in names]
        yield [each.condition, each.scope, str(each.rows), *numbers, ""]
    if robustness.refused:
        yield ["not possible", WHOLE, "", *[""] * (2 * len(names)), robustness.refused]
