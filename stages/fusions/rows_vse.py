"""The rows of the visual-semantic fusions, systems.md 4.8 to 4.13, and how they are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stages.fusions.layout import Layout
from stages.fusions.options_vse import VseOptions
from stages.fusions.row import TEXT, FusionRow
from stages.heads.model import Problem
from stages.heads.options import NetworkOptions

if TYPE_CHECKING:
    from stages.heads.network import NetworkModel


def network_of_task(load: Callable[[], Any]) -> Callable[[Layout, Any, Problem], NetworkModel]:
    """Return how a network is built whose loss depends on the task: layout, outputs, task, and its own options."""

    def build(layout: Layout, options: NetworkOptions, problem: Problem) -> NetworkModel:
        from stages.heads.network import NetworkModel  # torch

        own = {name: value for name, value in options.model_dump().items() if name not in NetworkOptions.model_fields}
        about = {"layout": [block.as_json() for block in layout], "outputs": problem.outputs, "task": problem.task}
        return NetworkModel(load(), {**about, **own}, options, problem)

    return build


def _vse() -> Any:
    from stages.fusions.vse import VseFusion  # torch

    return VseFusion


build_vse = network_of_task(_vse)

VSE_ROWS: tuple[FusionRow, ...] = (
    FusionRow("vse", "native", (2, 2), VseOptions, "systems.md 4.8", build_vse, needs={TEXT: ("tokens",)}),
)
