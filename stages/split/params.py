"""What `split` is asked: the section `split` of params.yaml, validated and frozen."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SplitParams(BaseModel):
    """The section `split`.

    Attributes
    ----------
    protocol : {"holdout"}
        How the data is cut; a split that the data set declares itself is honoured whatever the protocol.
    test : float
        Share of the rows kept for the test part.
    dev : float
        Share of the remaining rows cut from train for choices such as early stopping.
    seed : int
        Of the order of the groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Literal["holdout"] = "holdout"
    test: float = Field(default=0.2, gt=0, lt=1)
    dev: float = Field(default=0.1, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
