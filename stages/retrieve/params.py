"""What one retrieval system is: one entry of `retrieve` in `params.yaml`, checked here and used by `run`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stages.contract import Scale
from stages.flat_params import Seed
from stages.heads.options import KMeansSvmOptions

RelevanceRule = Literal["any_label", "same_labels"]


class RetrieveParams(BaseModel):
    """The parameters of one retrieval system.

    Attributes
    ----------
    features : list of str
        Names of the matrices; several are scaled one by one and laid side by side.
    head : {"knn", "kmeans_svm"}
        Exact Euclidean nearest neighbours, or the same with the cluster first that a machine tells.
    clusters, seed : int, optional
        Of `kmeans_svm` alone; 15 and 0 when they are left out.
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
    head: Literal["knn", "kmeans_svm"] = "knn"
    clusters: int | None = Field(default=None, ge=1)
    seed: Seed | None = None
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

    @model_validator(mode="after")
    def _no_clusters_without_kmeans(self) -> Self:
        if self.head == "knn" and (self.clusters is not None or self.seed is not None):
            raise ValueError("`clusters` and `seed` are options of head kmeans_svm; name it or remove them")
        return self

    @property
    def clustering(self) -> KMeansSvmOptions | None:
        """The options of `kmeans_svm`, defaults filled in; None for `knn`."""
        if self.head == "knn":
            return None
        given = {"clusters": self.clusters, "seed": self.seed}
        return KMeansSvmOptions(**{name: value for name, value in given.items() if value is not None})
