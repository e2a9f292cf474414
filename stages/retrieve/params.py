"""What one retrieval system is: one entry of `retrieve` in `params.yaml`, checked here and used by `run`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stages.contract import Scale

RelevanceRule = Literal["any_label", "same_labels"]


class RetrieveParams(BaseModel):
    """The parameters of one retrieval system.

    Attributes
    ----------
    features : list of str
        Names of the matrices; several are scaled one by one and laid side by side.
    method : {"knn"}
        Exact Euclidean nearest neighbours.
    gallery : {"train", "all"}
        The rows that may be found. With "all" a query never finds itself.
    query : {"dev", "test"}
        The rows that ask.
    k : list of int
        The list lengths at which the metrics are taken; the longest is what gets written.
    scale : {"none", "standard", "l2"}
        What happens to each matrix before it is laid beside the others. "standard" learns from gallery rows of the
        train part only.
    relevance : {"any_label", "same_labels"}
        Whether a found item is relevant when it shares one label with the query, or only when it has just the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: list[str] = Field(min_length=1)
    method: Literal["knn"] = "knn"
    gallery: Literal["train", "all"] = "train"
    query: Literal["dev", "test"] = "test"
    k: list[Annotated[int, Field(ge=1)]] = Field(default=[1, 3, 5, 10], min_length=1)
    scale: Scale = "l2"
    relevance: RelevanceRule = "any_label"

    @field_validator("features", "k")
    @classmethod
    def _no_repeats(cls, value: list[str] | list[int]) -> list[str] | list[int]:
        if len(set(value)) != len(value):
            raise ValueError(f"expected each entry once, found {value}; remove the repeated ones")
        return value
