"""Runs the search query chunk by query chunk and keeps what `metrics` and the ranked file need; called by `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.contract import Progress
from stages.heads.neighbours import Picks
from stages.heads.tiers import Tiers, first_places, nearest_in_tiers
from stages.retrieve.features import FeatureRows
from stages.retrieve.metrics import Outcome
from stages.retrieve.relevance import Relevance
from stages.retrieve.roles import Roles

Ints = NDArray[np.int64]
_QUERIES_AT_ONCE = 2048


@dataclass(frozen=True)
class Ranking:
    """The ranking of all queries.

    Attributes
    ----------
    queries, found : int64 [Q], int64 [Q, k]
        Row numbers of the manifest.
    distances : float64 [Q, k]
        Never decreasing along a row, for `kmeans_svm` within each cluster.
    hits : bool [Q, k]
        Whether the found item is relevant.
    relevant, first : int64 [Q]
        How many relevant items the gallery holds, and the place of the first in the full ranking (0: none).
    candidates : int64 [Q]
        How many gallery items the query could find.
    """

    queries: Ints
    found: Ints
    distances: NDArray[np.float64]
    hits: NDArray[np.bool_]
    relevant: Ints
    first: Ints
    candidates: Ints

    def outcome(self) -> Outcome:
        """Keep only what the metrics look at."""
        return Outcome(self.hits, self.relevant, self.first, self.candidates)

    def table(self, ids: Sequence[str]) -> pa.Table:
        """Lay out one row per found item: query, rank (from 1), id, distance, relevant."""
        names, (count, k) = np.asarray(ids, dtype=object), self.found.shape
        return pa.table(
            {
                "query": pa.array(np.repeat(names[self.queries], k), pa.string()),
                "rank": pa.array(np.tile(np.arange(1, k + 1), count), pa.int32()),
                "id": pa.array(names[self.found.ravel()], pa.string()),
                "distance": pa.array(self.distances.ravel(), pa.float64()),
                "relevant": pa.array(self.hits.ravel(), pa.bool_()),
            }
        )


def rank(
    features: FeatureRows, roles: Roles, tiers: Tiers, relevance: Relevance, k: int, progress: Progress
) -> Ranking:
    """Rank the gallery for every query.

    Parameters
    ----------
    features : FeatureRows
        Any rows of the matrices; the rows of `roles` are read.
    roles : Roles
        Who asks and who may be found; k is already known to fit.
    tiers : Tiers
        The order in which each of these queries searches the gallery.
    relevance : Relevance
        Judges the found items.
    k : int
        How many to keep.
    progress : Progress
        Counts queries.
    """
    chunks = []
    with progress.track("retrieve", len(roles.queries)) as tracker:
        for start in range(0, len(roles.queries), _QUERIES_AT_ONCE):
            queries = roles.queries[start : start + _QUERIES_AT_ONCE]
            own = tiers.only(slice(start, start + _QUERIES_AT_ONCE))
            chunks.append(_rank_some(_Asked(features, queries, roles.gallery, own), relevance, k))
            tracker.advance(len(queries))
    fields = Ranking.__dataclass_fields__
    return Ranking(*(np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in fields))


@dataclass(frozen=True)
class _Asked:
    """One chunk of queries and what they search."""

    features: FeatureRows
    queries: Ints
    gallery: Ints
    tiers: Tiers

    @property
    def rows(self) -> tuple[FeatureRows, FeatureRows]:
        """The vectors of queries and gallery."""
        return self.features.only(self.queries), self.features.only(self.gallery)

    def only(self, queries: Ints) -> _Asked:
        """Keep the queries at some positions."""
        return replace(self, queries=self.queries[queries], tiers=self.tiers.only(queries))

    def others(self, rows: Picks, columns: Picks) -> NDArray[np.bool_]:
        """Let no query find itself."""
        return np.asarray(self.queries[rows][:, None] != self.gallery[columns][None, :])


def _rank_some(asked: _Asked, relevance: Relevance, k: int) -> Ranking:
    """Rank the gallery for one chunk of queries."""
    queries, gallery = asked.queries, asked.gallery
    near = nearest_in_tiers(*asked.rows, k, asked.tiers, asked.others)
    found = gallery[near.indices]
    hits = np.array([relevance.between(queries[i : i + 1], found[i])[0] for i in range(len(queries))])
    relevant = relevance.counts(queries, gallery)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)
    deep = np.flatnonzero((first == 0) & (relevant > 0))
    first[deep] = _deep_places(asked.only(deep), relevance)
    candidates = len(gallery) - np.isin(queries, gallery).astype(np.int64)
    return Ranking(queries, found, near.distances, hits, relevant, first, candidates)


def _deep_places(asked: _Asked, relevance: Relevance) -> Ints:
    """Tell the place of the first relevant item for queries whose k nearest hold none: the rank that MRR needs."""

    def relevant(rows: Picks, columns: Picks) -> NDArray[np.bool_]:
        return relevance.between(asked.queries[rows], asked.gallery[columns])

    return first_places(*asked.rows, asked.tiers, relevant, asked.others)
