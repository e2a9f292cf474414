"""The options of the fusions that factorise matrices; docs/systems/fusions.md#matrix-factorisation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.flat_params import Options, Width


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
