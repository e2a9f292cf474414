"""The parameters of `evaluate`, the same for every experiment so that the leaderboard compares like with like."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class EvaluateParams(BaseModel):
    """How predictions become decisions and numbers; systems.md 6.1.

    Attributes
    ----------
    part : {"test", "dev"}
        Rows that are counted.
    threshold : float or "dev"
        A label is predicted when its score reaches this value (multi-label only). `dev` takes, for each experiment and
        seed, the one threshold of the best macro F1 on the dev rows: scores of forests, margins and networks are
        spread differently, and 0.5 is not the same decision for all of them.
    fallback : {"none", "argmax"}
        What a row without any label over the threshold predicts: nothing, or its best label.
    top_k : int
        The larger K of the top-K accuracies (multi-class only).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["test", "dev"] = "test"
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["dev"] = 0.5
    fallback: Literal["none", "argmax"] = "none"
    top_k: int = Field(default=5, ge=1)

    @model_validator(mode="after")
    def _tuned_elsewhere(self) -> Self:
        if self.threshold == "dev" and self.part == "dev":
            raise ValueError("threshold: dev is tuned on the dev rows, so they cannot be the part that is scored")
        return self
