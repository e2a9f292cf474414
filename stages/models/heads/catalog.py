"""The catalogue of heads as data rows, and the one way to build a head for a vector of a given width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stages.models.catalog import Options
from stages.models.heads.model import Model, Problem
from stages.models.heads.options import (
    DnnOptions,
    DummyOptions,
    ForestOptions,
    KMeansSvmOptions,
    KnnOptions,
    LinearOptions,
    LinregOptions,
    MlpOptions,
    SvmOptions,
)
from stages.models.heads.single_class import SingleClassGuard
from store.errors import InputError
from store.items.records import Task

_ALL: tuple[Task, ...] = ("multilabel", "multiclass", "regression")


Build = Callable[[int, Any, Problem], Model]


@dataclass(frozen=True)
class HeadRow:
    """One head.

    Attributes
    ----------
    tasks : tuple of Task
        What `train` may ask of it; none when all it does is rank a gallery.
    options : type of Options
    build : callable, optional
        How to build it for inputs of width D; None without tasks.
    ranks : bool
        Whether a `retrieve` entry may name it.
    """

    name: str
    tasks: tuple[Task, ...]
    options: type[Options]
    source: str
    build: Build | None
    ranks: bool = False


def _linear(width: int, options: LinearOptions, problem: Problem) -> Model:
    return _mlp(width, MlpOptions(**options.model_dump(), hidden=()), problem)


def _mlp(width: int, options: MlpOptions, problem: Problem) -> Model:
    from stages.models.heads.network import Mlp, NetworkModel  # torch

    arguments = {
        "inputs": width,
        "outputs": problem.outputs,
        "hidden": list(options.hidden),
        "dropout": options.dropout,
    }
    return NetworkModel(Mlp, arguments, options, problem)


def _classical(name: str) -> Build:
    def build(width: int, options: Options, problem: Problem) -> Model:  # noqa: ARG001 (learned from the data)
        from stages.models.heads import classical  # scikit-learn

        return classical.ClassicalModel(getattr(classical, name)(options, problem), options, problem)

    return build


def task_refusal(name: str, task: Task | None) -> str | None:
    """Say why this head cannot do a task, or any where the task is not known yet; None when it can."""
    row = HEADS[name]
    if not row.tasks:
        return f"head {name!r} ranks a gallery and predicts no labels: name it as `head` of a `retrieve` entry"
    return None if task is None or task in row.tasks else f"head {name!r} does {list(row.tasks)}; found task {task!r}"


def build_head(name: str, width: int, options: Options, problem: Problem) -> Model:
    """Return the unfitted head `name` for vectors of this width, ready for train rows of a single class.

    Raises
    ------
    InputError
        When the head does not do the task, with the reason.
    """
    build, refusal = HEADS[name].build, task_refusal(name, problem.task)
    if build is None or refusal:
        raise InputError(f"{refusal}; choose another head.")
    return SingleClassGuard(build(width, options, problem), problem)


HEADS: dict[str, HeadRow] = {
    row.name: row
    for row in (
        HeadRow("linear", _ALL, LinearOptions, "papers 0 and 2; one linear layer", _linear),
        HeadRow("mlp", _ALL, MlpOptions, "papers 0 and 3; 512-256 by default", _mlp),
        HeadRow("dnn", _ALL, DnnOptions, "paper 1; 256-64, dropout .4, Adam", _mlp),
        HeadRow("forest", _ALL, ForestOptions, "paper 3; random forest of depth 2", _classical("forest")),
        HeadRow("linreg", ("regression",), LinregOptions, "paper 3; least squares", _classical("linreg")),
        HeadRow("svm", _ALL, SvmOptions, "ours; RBF, standardised features", _classical("svm")),
        HeadRow("knn", _ALL, KnnOptions, "paper 4; exact Euclidean neighbours", _classical("knn"), ranks=True),
        HeadRow("kmeans_svm", (), KMeansSvmOptions, "paper 4; SVM over 15 clusters", None, ranks=True),
        HeadRow("dummy", _ALL, DummyOptions, "ours; label prevalence or train mean", _classical("dummy")),
    )
}
