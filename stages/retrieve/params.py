"""What one retrieval system is: one entry of `retrieve` in `params.yaml`, checked here and used by `run`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stages.contract import Scale
from stages.models.catalog import Seed
from stages.models.heads.options import KMeansSvmOptions

RelevanceRule = Literal["any_label", "same_labels", "jaccard", "same_meta"]


class RetrieveParams(BaseModel):
    """The parameters of one retrieval system.

    Attributes
    ----------
    features : list of str
        Names of the matrices; several are scaled one by one and laid side by side. Of two items those count that both
        have; see `at_mean_distance`.
    head : {"knn", "kmeans_svm"}
        Exact Euclidean nearest neighbours, or the same with the cluster first that a machine tells.
    index : {"exact", "hnsw"}
        Whether `knn` measures every pair, or a graph over the gallery proposes what is measured: faster for many
        queries, and now and then a neighbour is overlooked; the metrics tell how often. Needs the extra `index`.
    clusters, seed : int, optional
        Of `kmeans_svm` alone; 15 and 0 when they are left out.
    gallery : {"train", "rest", "all", "split"}
        The rows that may be found: those of train, all that are not of the part that asks, or all. "split" leaves
        both roles to the split, whose protocol must be one of retrieval. No query ever finds itself.
    query : {"dev", "test"}, optional
        The part whose rows ask, test when it is left out; not beside ``gallery: split``.
    k : list of int
        The list lengths at which the metrics are taken; the longest is what gets written.
    scale : {"none", "standard", "l2"}
        What happens to each matrix before it is laid beside the others. "standard" learns from train rows only.
    relevance : {"any_label", "same_labels", "jaccard", "same_meta"}
        Whether a found item is relevant when it shares one label with the query, only when it has just the same, when
        the Jaccard index of both label sets is at least `at_least` (the ranking is then scored by the index itself,
        too), or when the column `same` of meta holds the same value.
    at_least : float, optional
        Of ``relevance: jaccard`` alone; 0.5 when it is left out.
    same : str, optional
        The column of ``relevance: same_meta``.
    exclude_identical : bool
        Leave gallery items whose picture is that of the query, byte for byte, out of this query's gallery. The metrics
        then hold the top-k without this exclusion too, as ``with_identical_top_K``.
    exclude_same : str, optional
        Leave gallery items with the query's value in this column of meta out of its gallery: its siblings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: list[str] = Field(min_length=1)
    head: Literal["knn", "kmeans_svm"] = "knn"
    index: Literal["exact", "hnsw"] = "exact"
    clusters: int | None = Field(default=None, ge=1)
    seed: Seed | None = None
    gallery: Literal["train", "rest", "all", "split"] = "train"
    query: Literal["dev", "test"] | None = None
    k: list[Annotated[int, Field(ge=1)]] = Field(default=[1, 3, 5, 10], min_length=1)
    scale: Scale = "l2"
    relevance: RelevanceRule = "any_label"
    at_least: float | None = Field(default=None, gt=0, le=1)
    same: str | None = Field(default=None, min_length=1)
    exclude_identical: bool = False
    exclude_same: str | None = Field(default=None, min_length=1)

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

    @model_validator(mode="after")
    def _no_index_of_clusters(self) -> Self:
        if self.head != "knn" and self.index != "exact":
            raise ValueError(f"`index: {self.index}` is an option of head knn; head {self.head} searches by clusters")
        return self

    @model_validator(mode="after")
    def _one_word_on_who_asks(self) -> Self:
        if self.gallery == "split" and self.query is not None:
            raise ValueError("`gallery: split` says who asks as well; remove `query` or choose another gallery")
        return self

    @model_validator(mode="after")
    def _a_column_for_same_meta_alone(self) -> Self:
        if (self.same is not None) != (self.relevance == "same_meta"):
            raise ValueError("`same` and `relevance: same_meta` go together; name the column of meta or remove both")
        if self.exclude_same is not None and self.exclude_same == self.same:
            raise ValueError(f"`exclude_same: {self.same}` leaves out all that `same` calls relevant; remove one")
        return self

    @model_validator(mode="after")
    def _a_bound_for_jaccard_alone(self) -> Self:
        if self.at_least is not None and self.relevance != "jaccard":
            raise ValueError("`at_least` is an option of `relevance: jaccard`; name that or remove it")
        return self

    @property
    def asking(self) -> Literal["dev", "test"]:
        """The part whose rows ask, where the split does not say it."""
        return self.query or "test"

    @property
    def clustering(self) -> KMeansSvmOptions | None:
        """The options of `kmeans_svm`, defaults filled in; None for `knn`."""
        if self.head == "knn":
            return None
        given = {"clusters": self.clusters, "seed": self.seed}
        return KMeansSvmOptions(**{name: value for name, value in given.items() if value is not None})
