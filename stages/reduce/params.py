"""The parameters of one `reduce` entry."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReduceParams(BaseModel):
    """A projection of one matrix.

    Attributes
    ----------
    features : str
        Name of an `embed` entry.
    method : {"pca"}
        Principal components of the centred train rows, docs/systems/fusions.md#pca.
    components : int
        Dimensions kept; at most min(train rows, D).
    whiten : bool
        Divide each coordinate by its deviation on train.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: str
    method: Literal["pca"] = "pca"
    components: int = Field(default=3, ge=1)
    whiten: bool = False
