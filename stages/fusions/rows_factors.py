"""The fusions that factorise matrices, as rows of the catalogue: they learn vectors from train rows without labels."""

from __future__ import annotations

from typing import Any

from stages.fusions.options_factors import CmfOptions, MfOptions, Mmeda1Options, Mmeda2Options
from stages.fusions.row import FusionRow, transformer


def _mf() -> Any:
    from stages.fusions.mf import MfFusion  # torch

    return MfFusion


def _cmf() -> Any:
    from stages.fusions.cmf import CmfFusion

    return CmfFusion


def _mmeda1() -> Any:
    from stages.fusions.mmeda import Mmeda1Fusion  # torch

    return Mmeda1Fusion


def _mmeda2() -> Any:
    from stages.fusions.mmeda import Mmeda2Fusion  # torch

    return Mmeda2Fusion


FACTOR_ROWS = (
    FusionRow("mf", "vectors", (2, None), MfOptions, "paper 3", transformer(_mf), learns=True),
    FusionRow("cmf", "vectors", (2, None), CmfOptions, "paper 3", transformer(_cmf), learns=True),
    FusionRow("mmeda1", "vectors", (2, 2), Mmeda1Options, "paper 3", transformer(_mmeda1), learns=True),
    FusionRow("mmeda2", "vectors", (2, 2), Mmeda2Options, "paper 3", transformer(_mmeda2), learns=True),
)
