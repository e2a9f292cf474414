"""What the test of missing inputs takes away, and its table; docs/systems/evaluation.md#missing-inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.params import MissingParams
from stages.evaluate.truth import Truth
from store.items.records import IMAGE, Task

WHOLE = "all rows"

Fields = tuple[str, ...]


@dataclass(frozen=True)
class TrainedInputs:
    """What is read beyond the predictions where trained models are asked again.

    Attributes
    ----------
    model : Path
        The folder that `train` wrote.
    features : tuple of str
        The names of the matrices.
    matrices : tuple of Path
    digests : tuple of str
        What the card of each matrix states.
    fields : tuple of tuple of str
        The fields of the manifest that each matrix encodes, two for an encoder of pairs; none for a matrix of `fuse`,
        whose inputs cannot be told apart again.
    """

    model: Path
    features: tuple[str, ...]
    matrices: tuple[Path, ...]
    digests: tuple[str, ...]
    fields: tuple[Fields, ...]

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self.model.name

    @property
    def fused(self) -> tuple[str, ...]:
        """The features of which nothing can be taken away."""
        return tuple(name for name, fields in zip(self.features, self.fields, strict=True) if not fields)


@dataclass(frozen=True)
class Condition:
    """What is taken away.

    Attributes
    ----------
    name : str
        For people.
    key : str
        Within the names of metrics: the field, or `all-texts`, which no field can be called.
    removed : tuple of bool
        Whether each matrix is.
    """

    name: str
    key: str
    removed: tuple[bool, ...]


def conditions_of(fields: Sequence[Fields]) -> list[Condition]:
    """Return the full condition, then one without each field, then one without all texts where there are several.

    A matrix of pairs goes with either of its fields, for an item has the pair only when it has both. So without all
    texts just the matrices of pictures are left.
    """
    named = list(dict.fromkeys(field for each in fields for field in each))
    texts = {field for field in named if field != IMAGE}
    in_order = sorted(named, key=lambda name: name != IMAGE)
    found = [
        Condition("full", "full", (False,) * len(fields)),
        *(Condition(f"without {field}", field, tuple(field in each for each in fields)) for field in in_order),
    ]
    if len(texts) > 1:
        found.append(Condition("without all texts", "all-texts", tuple(not texts.isdisjoint(each) for each in fields)))
    return found


@dataclass(frozen=True)
class Scope:
    """Some of the labelled rows: `rows` [m] are positions in the truth of the whole part, `truth` is theirs."""

    name: str
    rows: NDArray[np.int64]
    truth: Truth


def scopes_of(truth: Truth, missing: MissingParams) -> list[Scope]:
    """Return the whole part and, where there are classes, the rows that bear one of those drawn."""
    scopes = [Scope(WHOLE, np.arange(len(truth.ids)), truth)]
    drawn = drawn_classes(truth, missing)
    if truth.labels is not None and drawn:
        rows = np.flatnonzero(truth.labels[:, [truth.classes.index(name) for name in drawn]].any(axis=1))
        scopes.append(Scope(f"{len(drawn)} classes", rows, truth.at(rows)))
    return scopes


def drawn_classes(truth: Truth, missing: MissingParams) -> list[str]:
    """Draw classes by the seed among those that have a row, and return them in their declared order."""
    if truth.labels is None:
        return []
    known = np.flatnonzero(truth.labels.any(axis=0))
    drawn = np.random.default_rng(missing.seed).choice(known, min(missing.classes, len(known)), replace=False)
    return [truth.classes[at] for at in sorted(drawn)]


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
    lost : mapping of str to float
        For the card: by input and metric the difference that it makes on the whole part.
    facts : mapping
        For the card: what was taken away, or why nothing could be, and the drawn classes.
    """

    outcomes: tuple[Outcome, ...] = ()
    refused: str = ""
    lost: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


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
