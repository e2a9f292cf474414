"""The rows of the visual-semantic fusions, docs/systems/fusions.md#visual-semantic-embeddings, and what loads each."""

from __future__ import annotations

from typing import Any

from stages.fusions.layout import Layout
from stages.fusions.options_vse import CimOptions, CootOptions, DenseOptions, DpmOptions, SapoolOptions
from stages.fusions.row import IMAGE, TEXT, FusionRow, network, network_of_task
from stages.fusions.vse_base import VseOptions, build_vse
from stages.heads.model import Model, Problem


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
