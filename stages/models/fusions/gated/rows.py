"""`joint`, `gated` and `gated2d` as rows of the catalogue, and their options; docs/systems/fusions.md#gates."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from stages.models.catalog import Options
from stages.models.fusions.row import IMAGE, TEXT, FusionRow, transformer


class RetrievalOptions(Options):
    """How two train rows of the same text learn to find each other; `train: none` keeps the seeded weights."""

    train: Literal["retrieval", "none"] = "retrieval"
    lr: float = Field(default=1e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    batch: int = Field(default=32, ge=2)
    epochs: int = Field(default=20, ge=1)


class GatedOptions(RetrievalOptions):
    """`hidden: false` takes the gate without its first layer."""

    hidden: bool = True


class JointOptions(RetrievalOptions):
    """Sizes of the encoder, and what of it is the fused vector.

    `layers: 0` leaves the encoder out. `output: both` is the text's vector and then the picture's, `text` and `image`
    one of them; `gated` and `gated2d` put that gate behind the encoder, and both are trained together.
    """

    output: Literal["both", "text", "image", "gated", "gated2d"] = "both"
    width: int = Field(default=256, ge=1)
    layers: int = Field(default=2, ge=0)
    heads: int = Field(default=8, ge=1)
    feedforward: int = Field(default=1024, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits_the_heads(self) -> Self:
        if self.layers and self.width % self.heads:
            raise ValueError(f"width: expected a multiple of `heads`, {self.heads}; found {self.width}")
        return self


_CELLS = ("map", "regions")


def _joint() -> Any:
    from stages.models.fusions.gated.joint import JointFusion  # torch

    return JointFusion


def _gated() -> Any:
    from stages.models.fusions.gated.gated import GatedFusion  # torch

    return GatedFusion


def _gated2d() -> Any:
    from stages.models.fusions.gated.gated import Gated2dFusion  # torch

    return Gated2dFusion


GATED_ROWS: tuple[FusionRow, ...] = (
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
