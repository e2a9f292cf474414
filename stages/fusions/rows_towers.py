"""Rows of the catalogue for fusions that put inputs side by side: tuned, raw, or projected."""

from __future__ import annotations

from typing import Any

from stages.fusions.options import NoOptions
from stages.fusions.options_towers import PcaOptions, TowersOptions
from stages.fusions.row import FusionRow, network, transformer


def _towers() -> Any:
    from stages.fusions.towers import TowersFusion  # torch

    return TowersFusion


def _early() -> Any:
    from stages.fusions.early import EarlyFusion

    return EarlyFusion


def _pca() -> Any:
    from stages.fusions.pca_fusion import PcaFusion  # scikit-learn

    return PcaFusion


TOWERS_ROWS: tuple[FusionRow, ...] = (
    FusionRow("towers", "native", (2, None), TowersOptions, "paper 1", network(_towers)),
    FusionRow("early", "vectors", (2, 2), NoOptions, "paper 0", transformer(_early)),
    FusionRow("pca", "vectors", (1, None), PcaOptions, "paper 0", transformer(_pca), learns=True),
)
