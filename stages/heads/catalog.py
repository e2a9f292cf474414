"""The catalogue of heads as data rows, and the one way to build a head for a vector of a given width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stages.contract import Task
from stages.heads.model import Model, Problem
from stages.heads.options import (
    DummyOptions,
    ForestOptions,
    KnnOptions,
    LinearOptions,
    MlpOptions,
    Options,
    SvmOptions,
)
from stages.heads.single_class import SingleClassGuard

_ALL: tuple[Task, ...] = ("multilabel", "multiclass", "regression")


@dataclass(frozen=True)
class HeadRow:
    """One head: its tasks, its options, and how to build it for inputs of width D."""

    name: str
    tasks: tuple[Task, ...]
    options: type[Options]
    source: str
    build: Callable[[int, Any, Problem], Model]


def _linear(width: int, options: LinearOptions, problem: Problem) -> Model:
    return _mlp(width, MlpOptions(**options.model_dump(), hidden=()), problem)


def _mlp(width: int, options: MlpOptions, problem: Problem) -> Model:
    from stages.heads.network import Mlp, NetworkModel  # torch

    arguments = {
        "inputs": width,
        "outputs": problem.outputs,
        "hidden": list(options.hidden),
        "dropout": options.dropout,
    }
    return NetworkModel(Mlp, arguments, options, problem)


def _classical(name: str) -> Callable[[int, Any, Problem], Model]:
    def build(width: int, options: Options, problem: Problem) -> Model:  # noqa: ARG001 (learned from the data)
        from stages.heads import classical  # scikit-learn

        return classical.ClassicalModel(getattr(classical, name)(options, problem), options, problem)

    return build


def build_head(name: str, width: int, options: Options, problem: Problem) -> Model:
    """Return the unfitted head `name` for vectors of this width, ready for train rows of a single class."""
    return SingleClassGuard(HEADS[name].build(width, options, problem), problem)


HEADS: dict[str, HeadRow] = {
    row.name: row
    for row in (
        HeadRow("linear", _ALL, LinearOptions, "systems.md 5: one linear layer", _linear),
        HeadRow("mlp", _ALL, MlpOptions, "systems.md 4.2: 512-256 by default", _mlp),
        HeadRow("forest", _ALL, ForestOptions, "systems.md 5: random forest of depth 2", _classical("forest")),
        HeadRow("svm", _ALL, SvmOptions, "systems.md 5: RBF, standardised features", _classical("svm")),
        HeadRow("knn", _ALL, KnnOptions, "systems.md 5: exact Euclidean neighbours", _classical("knn")),
        HeadRow("dummy", _ALL, DummyOptions, "systems.md 5: label prevalence or train mean", _classical("dummy")),
    )
}
