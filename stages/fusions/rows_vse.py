"""The rows of the visual-semantic fusions, systems.md 4.8 to 4.13, and how they are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stages.fusions.layout import Layout
from stages.fusions.options_vse import CimOptions, CootOptions, DenseOptions, DpmOptions, SapoolOptions, VseOptions
from stages.fusions.row import IMAGE, TEXT, FusionRow, network
from stages.heads.model import Model, Problem
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


def _cim() -> Any:
    from stages.fusions.cim import CimFusion  # torch

    return CimFusion


def _coot() -> Any:
    from stages.fusions.coot import CootFusion  # torch

    return CootFusion


def _sapool() -> Any:
    from stages.fusions.sapool import SapoolFusion  # torch

    return SapoolFusion


def _dense() -> Any:
    from stages.fusions.dense import DenseFusion  # torch

    return DenseFusion


def _dpm(layout: Layout, options: Any, problem: Problem) -> Model:
    from stages.fusions.dpm import DpmModel  # torch

    return DpmModel(layout, options, problem)


build_vse = network_of_task(_vse)
_WORDS = {TEXT: ("tokens",)}
_WORDS_AND_REGIONS = {**_WORDS, IMAGE: ("map", "regions")}

VSE_ROWS: tuple[FusionRow, ...] = (
    FusionRow("vse", "native", (2, 2), VseOptions, "paper 2", build_vse, needs=_WORDS),
    FusionRow("cim", "native", (2, 2), CimOptions, "paper 2", network_of_task(_cim), needs=_WORDS_AND_REGIONS),
    FusionRow("coot", "native", (2, 2), CootOptions, "paper 2", network_of_task(_coot), needs=_WORDS_AND_REGIONS),
    FusionRow("sapool", "native", (2, 2), SapoolOptions, "paper 2", network(_sapool), needs=_WORDS),
    FusionRow("dpm", "native", (3, 3), DpmOptions, "paper 2", _dpm, needs=_WORDS),
    FusionRow("dense", "native", (2, 2), DenseOptions, "paper 2", network(_dense), needs=_WORDS),
)
