"""The options of `towers` and `pca`; `early`, the third that puts inputs side by side, has none."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.flat_params import Options, Width
from stages.heads.options import NetworkOptions


class TowersOptions(NetworkOptions):
    """As published; `after` takes the variants for small data, [2048] and [256, 64]; docs/systems/fusions.md#towers.

    Early stopping looks at the dev rows' top 5, by which the paper chose its text encoder; in a task without a single
    right class at their loss. `dropout` acts on the texts and on the concatenation, `after_dropout` behind each layer
    of `after`; `image_dnn` is the width of a layer on the picture, 0 for none.
    """

    optimizer: Literal["adamw", "adam", "sgd"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0)
    batch: int = Field(default=64, ge=1)
    epochs: int = Field(default=20, ge=1)
    monitor: Literal["loss", "top_5"] = "top_5"
    width: int = Field(default=1024, ge=1)
    image_dnn: int = Field(default=0, ge=0)
    after: tuple[Width, ...] = ()
    dropout: float = Field(default=0.2, ge=0, lt=1)
    after_dropout: float = Field(default=0.4, ge=0, lt=1)


class PcaOptions(Options):
    """How many coordinates, and of what.

    Attributes
    ----------
    components : int
        How many are kept.
    where : {"per_modality", "fused"}
        Of each input by itself, or of all side by side.
    whiten : bool
        Whether each is scaled to variance 1.
    """

    components: int = Field(default=3, ge=1)
    where: Literal["per_modality", "fused"] = "per_modality"
    whiten: bool = False
