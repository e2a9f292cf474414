"""The parameters of `evaluate`, the same for every experiment so that the leaderboard compares like with like."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EvaluateParams(BaseModel):
    """How predictions become decisions and numbers; systems.md 6.1.

    Attributes
    ----------
    part : {"test", "dev"}
        Rows that are counted.
    threshold : float
        A label is predicted when its score reaches this value (multi-label only).
    fallback : {"none", "argmax"}
        What a row without any label over the threshold predicts: nothing, or its best label.
    top_k : int
        The larger K of the top-K accuracies (multi-class only).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["test", "dev"] = "test"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    fallback: Literal["none", "argmax"] = "none"
    top_k: int = Field(default=5, ge=1)
