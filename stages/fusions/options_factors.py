"""The options of the fusions that factorise matrices, with the published values of systems.md 4.14 to 4.17."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.flat_params import Options, Width


class MfOptions(Options):
    """Sizes and training of systems.md 4.14; `step: epoch` is what the authors ran, by SGD, `step: batch` is Adam."""

    components: Width = 50
    hidden: Width = 128
    lr: float = Field(default=1e-4, gt=0)
    batch: Width = 50
    step: Literal["epoch", "batch"] = "epoch"
    epochs: int = Field(default=500, ge=1)
    settled: int = Field(default=100, ge=0)
    tolerance: float = Field(default=1e-4, ge=0)


class CmfOptions(Options):
    """Sizes, penalty and rounds of systems.md 4.15; `weights`, one for each input, makes the objective `shared`."""

    components: Width = 50
    penalty: float = Field(default=10.0, gt=0)
    iterations: int = Field(default=10, ge=1)
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None


class Mmeda1Options(Options):
    """Sizes and training of systems.md 4.16, by SGD; `column_batch` is how many text columns a step rebuilds."""

    components: Width = 50
    hidden: Width = 512
    lr: float = Field(default=0.01, gt=0)
    batch: Width = 50
    column_batch: Width = 50
    epochs: int = Field(default=30, ge=1)


class Mmeda2Options(Mmeda1Options):
    """As `mmeda1`; the picture is rebuilt from its own code (`ae0`: the paper) or from the joint one (4.17)."""

    epochs: int = Field(default=50, ge=1)
    decode_image_from: Literal["ae0", "joint"] = "ae0"
