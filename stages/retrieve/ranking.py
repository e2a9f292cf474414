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
from stages.retrieve.exclusions import Exclusions, count_pairs
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


@dataclass(frozen=True)
class Search:
    """What is searched, in which order, and what counts.

    Attributes
    ----------
    features : FeatureRows
        Any rows of the matrices; the rows of `roles` are read.
    roles : Roles
        Who asks and who may be found.
    tiers : Tiers
        The order in which each of these queries searches the gallery.
    relevance : Relevance
        Judges the found items.
    exclusions : Exclusions
        Says what a query may not find.
    """

    features: FeatureRows
    roles: Roles
    tiers: Tiers
    relevance: Relevance
    exclusions: Exclusions

    def part(self, start: int) -> _Asked:
        """Return one chunk of queries."""
        queries = self.roles.queries[start : start + _QUERIES_AT_ONCE]
        return _Asked(self, queries, self.tiers.only(slice(start, start + _QUERIES_AT_ONCE)))


def rank(search: Search, k: int, progress: Progress) -> Ranking:
    """Rank the gallery for every query.

    Parameters
    ----------
    search : Search
        What is searched; k is already known to fit.
    k : int
        How many to keep.
    progress : Progress
        Counts queries.
    """
    chunks = []
    count = len(search.roles.queries)
    with progress.track("retrieve", count) as tracker:
        for start in range(0, count, _QUERIES_AT_ONCE):
            chunks.append(_rank_some(search.part(start), k))
            tracker.advance(len(chunks[-1].queries))
    fields = Ranking.__dataclass_fields__
    return Ranking(*(np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in fields))


@dataclass(frozen=True)
class _Asked:
    """One chunk of queries, in the order of their tiers."""

    search: Search
    queries: Ints
    tiers: Tiers

    @property
    def gallery(self) -> Ints:
        """Who may be found."""
        return self.search.roles.gallery

    @property
    def rows(self) -> tuple[FeatureRows, FeatureRows]:
        """The vectors of queries and gallery."""
        features = self.search.features
        return features.only(self.queries), features.only(self.gallery)

    def only(self, queries: Ints) -> _Asked:
        """Keep the queries at some positions."""
        return replace(self, queries=self.queries[queries], tiers=self.tiers.only(queries))

    def allowed(self, rows: Picks, columns: Picks) -> NDArray[np.bool_]:
        """Let no query find itself, nor what is excluded."""
        return self.search.exclusions.allow(self.queries[rows], self.gallery[columns])

    def answered(self, rows: Picks, columns: Picks) -> NDArray[np.bool_]:
        """Tell which of what may be found is relevant."""
        return self._right(self.queries[rows], self.gallery[columns])

    def relevant(self) -> Ints:
        """Count what could be found and is relevant."""
        return count_pairs(self._right, self.queries, self.gallery)

    def _right(self, queries: Ints, gallery: Ints) -> NDArray[np.bool_]:
        allowed = self.search.exclusions.allow(queries, gallery)
        return np.asarray(self.search.relevance.between(queries, gallery) & allowed)


def _rank_some(asked: _Asked, k: int) -> Ranking:
    """Rank the gallery for one chunk of queries."""
    queries, gallery, relevance = asked.queries, asked.gallery, asked.search.relevance
    near = nearest_in_tiers(*asked.rows, k, asked.tiers, asked.allowed)
    found = gallery[near.indices]
    hits = np.array([relevance.between(queries[i : i + 1], found[i])[0] for i in range(len(queries))])
    relevant = asked.relevant()
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)
    # The rank that MRR needs of queries whose k nearest hold nothing relevant.
    deep = np.flatnonzero((first == 0) & (relevant > 0))
    rest = asked.only(deep)
    first[deep] = first_places(*rest.rows, rest.tiers, rest.answered, rest.allowed)
    candidates = asked.search.exclusions.reach(queries, gallery)
    return Ranking(queries, found, near.distances, hits, relevant, first, candidates)
