"""The options of fusions, which `fuse` and `train` fill from flat params; docs/systems/fusions.md."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.flat_params import Options, Width
from stages.heads.options import MlpOptions


class AttentionOptions(MlpOptions):
    """Sizes of docs/systems/fusions.md#attention: d = 256, then three hidden layers.

    Attributes
    ----------
    width : int
        d, to which each input is projected.
    qk : bool
        Whether queries and keys are projections of their own.
    """

    hidden: tuple[Width, ...] = (512, 256, 128)
    width: int = Field(default=256, ge=1)
    qk: bool = False


class LateOptions(Options):
    """How the modalities' scores are weighted.

    Attributes
    ----------
    weights : {"dev", "uniform"}
        Tuned on dev rows, or equal.
    """

    weights: Literal["dev", "uniform"] = "dev"


class NoOptions(Options):
    """Nothing to choose."""
