"""The fusions that factorise matrices, as rows of the catalogue; docs/systems/fusions.md#matrix-factorisation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stages.models.catalog import Options, Width
from stages.models.fusions.row import FusionRow, transformer


class MfOptions(Options):
    """Sizes and training as published; `step: epoch` is SGD, `step: batch` Adam; docs/systems/fusions.md#mf."""

    components: Width = 50
    hidden: Width = 128
    lr: float = Field(default=1e-4, gt=0)
    batch: Width = 50
    step: Literal["epoch", "batch"] = "epoch"
    epochs: int = Field(default=500, ge=1)
    settled: int = Field(default=100, ge=0)
    tolerance: float = Field(default=1e-4, ge=0)


class CmfOptions(Options):
    """Sizes as published; `weights`, one for each input, makes the objective `shared`; docs/systems/fusions.md#cmf."""

    components: Width = 50
    penalty: float = Field(default=10.0, gt=0)
    iterations: int = Field(default=10, ge=1)
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None


class Mmeda1Options(Options):
    """As published, SGD; `column_batch` is how many text columns a step rebuilds; docs/systems/fusions.md#mmeda1."""

    components: Width = 50
    hidden: Width = 512
    lr: float = Field(default=0.01, gt=0)
    batch: Width = 50
    column_batch: Width = 50
    epochs: int = Field(default=30, ge=1)


class Mmeda2Options(Mmeda1Options):
    """As `mmeda1`; the picture is rebuilt from its own code (`ae0`) or from `joint`; docs/systems/fusions.md#mmeda2."""

    epochs: int = Field(default=50, ge=1)
    decode_image_from: Literal["ae0", "joint"] = "ae0"


def _mf() -> Any:
    from stages.models.fusions.factors.mf import MfFusion  # torch

    return MfFusion


def _cmf() -> Any:
    from stages.models.fusions.factors.cmf import CmfFusion

    return CmfFusion


def _mmeda1() -> Any:
    from stages.models.fusions.factors.mmeda import Mmeda1Fusion  # torch

    return Mmeda1Fusion


def _mmeda2() -> Any:
    from stages.models.fusions.factors.mmeda import Mmeda2Fusion  # torch

    return Mmeda2Fusion


FACTOR_ROWS = (
    FusionRow("mf", "vectors", (2, None), MfOptions, "paper 3", transformer(_mf), learns=True),
    FusionRow("cmf", "vectors", (2, None), CmfOptions, "paper 3", transformer(_cmf), learns=True),
    FusionRow("mmeda1", "vectors", (2, 2), Mmeda1Options, "paper 3", transformer(_mmeda1), learns=True),
    FusionRow("mmeda2", "vectors", (2, 2), Mmeda2Options, "paper 3", transformer(_mmeda2), learns=True),
)
