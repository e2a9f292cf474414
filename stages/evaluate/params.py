"""The parameters of `evaluate`, the same for every experiment so that the leaderboard compares like with like."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class MissingParams(BaseModel):
    """The test of missing inputs; systems.md 6.4.

    Attributes
    ----------
    classes : int
        Beside the whole part, the rows of so many classes are looked at, drawn among those that have a row there.
    seed : int
        Draws them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: int = Field(default=5, ge=1)
    seed: int = Field(default=0, ge=0)


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
    missing : MissingParams or None
        Whether, and how, every experiment is scored again without each of its inputs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["test", "dev"] = "test"
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["dev"] = 0.5
    fallback: Literal["none", "argmax"] = "none"
    top_k: int = Field(default=5, ge=1)
    missing: MissingParams | None = None

    @model_validator(mode="after")
    def _tuned_elsewhere(self) -> Self:
        if self.threshold == "dev" and self.part == "dev":
            raise ValueError("threshold: dev is tuned on the dev rows, so they cannot be the part that is scored")
        return self
