"""The parameters of `evaluate`, the same for every experiment so that the leaderboard compares like with like."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class MissingParams(BaseModel):
    """The test of missing inputs; docs/systems/evaluation.md#missing-inputs.

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


class HighlightParams(BaseModel):
    """Rows that the t-SNE panels mark, such as the noise of one class; docs/systems/evaluation.md#t-sne.

    Attributes
    ----------
    name : str
        A class, `class` in params.yaml; it is always among those drawn.
    ids : str
        A UTF-8 file of ids, one a line; those of rows of the class that are shown are marked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(alias="class")
    ids: str = Field(min_length=1)


class TsneParams(BaseModel):
    """The t-SNE panels; docs/systems/evaluation.md#t-sne.

    Attributes
    ----------
    experiments : tuple of str
        Those of `train` that are looked into; each takes seconds.
    classes : int
        How many are shown, drawn among those that have a row in the part; rows that bear exactly one of them are
        shown.
    per_class : int
        The most rows of a class, drawn too.
    perplexity : float
        Of t-SNE; panels of so few rows, or fewer, take (rows - 1) / 3.
    seed : int
        Of the draws and of t-SNE.
    highlight : HighlightParams or None
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiments: tuple[str, ...] = Field(min_length=1)
    classes: int = Field(default=10, ge=1)
    per_class: int = Field(default=200, ge=1)
    perplexity: float = Field(default=30.0, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    highlight: HighlightParams | None = None


class EvaluateParams(BaseModel):
    """How predictions become decisions and numbers; docs/systems/evaluation.md#decisions.

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
    weights : bool
        Whether fusions that weigh their inputs tell the weights by class.
    tsne : TsneParams or None
        Whether, for which experiments and how vectors are drawn in two dimensions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["test", "dev"] = "test"
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["dev"] = 0.5
    fallback: Literal["none", "argmax"] = "none"
    top_k: int = Field(default=5, ge=1)
    missing: MissingParams | None = None
    weights: bool = False
    tsne: TsneParams | None = None

    @model_validator(mode="after")
    def _tuned_elsewhere(self) -> Self:
        if self.threshold == "dev" and self.part == "dev":
            raise ValueError("threshold: dev is tuned on the dev rows, so they cannot be the part that is scored")
        return self
