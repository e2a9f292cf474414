"""Rows of the catalogue for fusions in which the text looks at the picture, trained by retrieval."""

from __future__ import annotations

from typing import Any

from stages.fusions.options_gates import GatedOptions, JointOptions, RetrievalOptions
from stages.fusions.row import IMAGE, TEXT, FusionRow, transformer

_CELLS = ("map", "regions")


def _joint() -> Any:
    from stages.fusions.joint import JointFusion  # torch

    return JointFusion


def _gated() -> Any:
    from stages.fusions.gated import GatedFusion  # torch

    return GatedFusion


def _gated2d() -> Any:
    from stages.fusions.gated import Gated2dFusion  # torch

    return Gated2dFusion


GATES_ROWS: tuple[FusionRow, ...] = (
    FusionRow(
        "joint",
        "vectors",
        (2, 2),
        JointOptions,
        "paper 4",
        transformer(_joint),
        {TEXT: ("tokens",), IMAGE: _CELLS},
        learns=True,
    ),
    FusionRow("gated", "vectors", (2, 2), GatedOptions, "paper 4", transformer(_gated), learns=True),
    FusionRow(
        "gated2d",
        "vectors",
        (2, 2),
        RetrievalOptions,
        "paper 4",
        transformer(_gated2d),
        {IMAGE: _CELLS},
        learns=True,
    ),
)
