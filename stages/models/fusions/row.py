"""What the catalogue says of one fusion, and how it is built; families of fusions list their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from stages.models.catalog import Options
from stages.models.features.layout import Layout
from stages.models.heads.model import Model, Problem
from stages.models.heads.options import NetworkOptions

if TYPE_CHECKING:
    from stages.models.heads.network import NetworkModel

Kind = Literal["vectors", "native", "scores"]
TEXT, IMAGE = 0, -1
"""Positions of inputs: texts first, the picture last."""


@dataclass(frozen=True)
class FusionRow:
    """One fusion.

    Attributes
    ----------
    kind : {"vectors", "native", "scores"}
        Gives vectors without labels, so it may be a `fuse` entry and stand before any head; carries its own classifier
        (`head: native`); or combines the scores of one head per input.
    inputs : (int, int or None)
        The fewest and the most feature inputs it takes; None for no upper limit.
    options : type of Options
        Of one that gives vectors the keyword arguments of its transformer; of one with its own classifier how it is
        trained (`NetworkOptions`) and, by the same names, its module's keyword arguments.
    source : str
        The papers that it is from, by the numbers of docs/papers.md, or that it is ours.
    build : callable
        Of layout, options and problem: an unfitted transformer ("vectors") or model ("native"), the class of "scores".
    needs : mapping of int to tuple of str
        What it reads beside the vectors: position of the input, and the arrays of which one must be there.
    learns : bool
        Of "vectors": whether its `fit` learns from the train rows.
    weighs : bool
        Whether it gives each input of a row a weight, see `FusedModel.weights`.
    """

    name: str
    kind: Kind
    inputs: tuple[int, int | None]
    options: type[Options]
    source: str
    build: Callable[[Layout, Any, Problem], Any]
    needs: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    learns: bool = False
    weighs: bool = False

    @property
    def vectors(self) -> bool:
        """Whether it may be a `fuse` entry."""
        return self.kind == "vectors"

    @property
    def native(self) -> bool:
        """Whether it takes `head: native`."""
        return self.kind == "native"


def transformer(load: Callable[[], Any]) -> Callable[[Layout, Any, Problem], Any]:
    """Return how a transformer is built: options by name, and seed and device where it takes them."""

    def build(layout: Layout, options: Options, problem: Problem) -> Any:
        kind = load()
        chance = {"seed": problem.seed, "device": problem.device}
        known = set(kind().get_params())
        given = {name: value for name, value in chance.items() if name in known}
        return kind(layout=layout, **options.model_dump(), **given)

    return build


def network(load: Callable[[], Any]) -> Callable[[Layout, Any, Problem], Model]:
    """Return how a fusion with its own classifier is built: the module's keyword arguments are its further options."""

    def build(layout: Layout, options: NetworkOptions, problem: Problem) -> Model:
        from stages.models.heads.network import NetworkModel  # torch

        own = {name: value for name, value in options.model_dump().items() if name not in NetworkOptions.model_fields}
        arguments = {"layout": [block.as_json() for block in layout], "outputs": problem.outputs, **own}
        return NetworkModel(load(), arguments, options, problem)

    return build


def network_of_task(load: Callable[[], Any]) -> Callable[[Layout, Any, Problem], NetworkModel]:
    """Return how a network is built whose loss depends on the task: layout, outputs, task, and its own options."""

    def build(layout: Layout, options: NetworkOptions, problem: Problem) -> NetworkModel:
        from stages.models.heads.network import NetworkModel  # torch

        own = {name: value for name, value in options.model_dump().items() if name not in NetworkOptions.model_fields}
        about = {"layout": [block.as_json() for block in layout], "outputs": problem.outputs, "task": problem.task}
        return NetworkModel(load(), {**about, **own}, options, problem)

    return build
