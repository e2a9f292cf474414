"""Runs the search query chunk by query chunk and keeps what `metrics` and the ranked file need; called by `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.contract import Progress
from stages.models.measures.neighbours import Neighbours, Picks
from stages.models.measures.tiers import Tiers, first_places, nearest_in_tiers
from stages.retrieve.approximate import HnswIndex, index_recall
from stages.retrieve.features import FeatureRows, Kind, kinds_of
from stages.retrieve.metrics import Graded, Outcome
from stages.retrieve.relevance import Grades, Relevance, grades_of
from stages.retrieve.roles import Exclusions, Roles, count_pairs

Ints = NDArray[np.int64]
QUERIES_AT_ONCE = 2048


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
    refilled : bool [Q]
        Whether there is an index, but the query was answered without: it lacks an input, or the index proposed too few
        that it may find.
    gains : float64 [Q, k]
        How much the labels of the found item agree with the query's, as their Jaccard index; [Q, 0] without label sets.
    mean_gain : float64 [Q]
        The same on average over all that the query could find.
    ideal : float64 [Q, k]
        The largest that it could find, in falling order; [Q, 0] unless relevance is graded.
    """

    queries: Ints
    found: Ints
    distances: NDArray[np.float64]
    hits: NDArray[np.bool_]
    relevant: Ints
    first: Ints
    candidates: Ints
    refilled: NDArray[np.bool_]
    gains: NDArray[np.float64]
    mean_gain: NDArray[np.float64]
    ideal: NDArray[np.float64]

    def only(self, queries: Ints) -> Ranking:
        """Choose the queries at some positions, in that order."""
        return Ranking(*(values[queries] for values in vars(self).values()))

    def outcome(self) -> Outcome:
        """Keep only what the metrics look at."""
        graded = Graded(self.gains, self.mean_gain, self.ideal) if self.gains.shape[1] else None
        return Outcome(self.hits, self.relevant, self.first, self.candidates, graded)

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
        Any rows of the matrices; the rows of `roles` are read, of each query those of the inputs that it has.
    roles : Roles
        Who asks and who may be found.
    tiers : Tiers
        The order in which each of these queries searches the gallery.
    relevance : Relevance
        Judges the found items.
    exclusions : Exclusions
        Says what a query may not find.
    index : HnswIndex, optional
        Proposes neighbours; without it every pair is measured. Where nothing relevant is among the k that it leads to,
        the place of the first relevant item is found without it.
    """

    features: FeatureRows
    roles: Roles
    tiers: Tiers
    relevance: Relevance
    exclusions: Exclusions
    index: HnswIndex | None = None

    def part(self, start: int, stop: int) -> _Asked:
        """Return the queries at some positions."""
        tiers = self.tiers.only(slice(start, stop))
        return _Asked(self, self.roles.queries[start:stop], tiers, self.roles.gallery, self.features)


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
        for start in range(0, count, QUERIES_AT_ONCE):
            chunks.append(rank_part(search, start, start + QUERIES_AT_ONCE, k))
            tracker.advance(len(chunks[-1].queries))
    return joined(chunks)


def rank_part(search: Search, start: int, stop: int, k: int) -> Ranking:
    """Rank the gallery for the queries at some positions."""
    places, kinds = search.part(start, stop).kinds()
    return joined([_rank_some(each, k) for each in kinds]).only(np.argsort(places))


def joined(chunks: Sequence[Ranking]) -> Ranking:
    """Put the rankings of chunks behind each other."""
    fields = Ranking.__dataclass_fields__
    return Ranking(*(np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in fields))


@dataclass(frozen=True)
class _Asked:
    """One chunk of queries in the order of their tiers, the gallery that they can find, and what both are read from."""

    search: Search
    queries: Ints
    tiers: Tiers
    gallery: Ints
    features: FeatureRows

    @property
    def rows(self) -> tuple[FeatureRows, FeatureRows]:
        """The vectors of queries and gallery."""
        return self.features.only(self.queries), self.features.only(self.gallery)

    def kinds(self) -> tuple[Ints, list[_Asked]]:
        """Part the queries by the inputs that they have, and tell the position of each, part by part."""
        kinds = kinds_of(self.features.inputs(), self.queries, self.gallery)
        return np.concatenate([kind.queries for kind in kinds]), [self._of_kind(kind) for kind in kinds]

    def _of_kind(self, kind: Kind) -> _Asked:
        tiers = Tiers(self.tiers.order[kind.queries], self.tiers.clusters[kind.gallery])
        features = self.features.reading(kind.inputs.tolist())
        return _Asked(self.search, self.queries[kind.queries], tiers, self.gallery[kind.gallery], features)

    def nearest(self, k: int, lost: int) -> tuple[Neighbours, NDArray[np.bool_]]:
        """Find the first k, and tell which queries the index left short of them; `lost` rows at most are excluded."""
        indexed = self.search.index is not None
        if self.search.index is None or len(self.features.blocks) < len(self.search.features.blocks):
            near = nearest_in_tiers(*self.rows, k, self.tiers, self.allowed)
            return near, np.full(len(self.queries), indexed)
        near = self.search.index.nearest(self.rows[0], k, self._allowed_pairs, lost)
        short = near.indices[:, -1] < 0
        if short.any():
            rest = self.only(np.flatnonzero(short))
            exact = nearest_in_tiers(*rest.rows, k, rest.tiers, rest.allowed)
            near.indices[short], near.squared[short] = exact.indices, exact.squared
        return near, short

    def _allowed_pairs(self, places: Ints) -> NDArray[np.bool_]:
        return self.search.exclusions.allow_pairs(self.queries, self.gallery[places])

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

    def grades(self, k: int) -> Grades:
        """Grade what could be found; the best k of it where relevance is graded."""
        relevance = self.search.relevance
        if relevance.label_sets is None:
            return Grades(np.zeros(len(self.queries)), np.zeros((len(self.queries), 0)))
        depth = k if relevance.rule == "jaccard" else 0
        return grades_of(relevance.label_sets, self.queries, self.gallery, self.search.exclusions.allow, depth)

    def _right(self, queries: Ints, gallery: Ints) -> NDArray[np.bool_]:
        allowed = self.search.exclusions.allow(queries, gallery)
        return np.asarray(self.search.relevance.between(queries, gallery) & allowed)


def _rank_some(asked: _Asked, k: int) -> Ranking:
    """Rank the gallery for one chunk of queries."""
    queries, gallery, relevance = asked.queries, asked.gallery, asked.search.relevance
    candidates = asked.search.exclusions.reach(queries, gallery)
    near, refilled = asked.nearest(k, len(gallery) - int(candidates.min()))
    found = gallery[near.indices]
    hits = np.array([relevance.between(queries[i : i + 1], found[i])[0] for i in range(len(queries))])
    relevant = asked.relevant()
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)
    # The rank that MRR needs of queries whose k nearest hold nothing relevant.
    deep = np.flatnonzero((first == 0) & (relevant > 0))
    rest = asked.only(deep)
    first[deep] = first_places(*rest.rows, rest.tiers, rest.answered, rest.allowed)
    gains = np.array([relevance.gains(*each) for each in zip(queries.tolist(), found, strict=True)], np.float64)
    grades = asked.grades(k)
    return Ranking(
        queries, found, near.distances, hits, relevant, first, candidates, refilled, gains, grades.mean, grades.ideal
    )


def measure_index(search: Search, ranking: Ranking, ks: Sequence[int]) -> tuple[dict[str, float], dict[str, int]]:
    """Tell how much of the exact ranking the index found.

    Returns
    -------
    dict of str to float
        For each K ``index_recall_K``, the share of the exact first K of the sampled queries that were found.
    dict of str to int
        ``index_refilled``, the queries that it could not answer; ``index_sampled``, how many were asked again without
        it: a tenth of all, at least 100 and at most 1,000 where there are as many, drawn by a fixed seed.
    """
    count = len(ranking.queries)
    sampled = min(count, 1000, max(100, count // 10))
    places = np.sort(np.random.default_rng(0).choice(count, sampled, replace=False))
    roles = replace(search.roles, queries=ranking.queries[places])
    sample = replace(search, roles=roles, tiers=search.tiers.only(places), index=None)
    starts = range(0, sampled, QUERIES_AT_ONCE)
    far = np.concatenate([_distances(sample.part(start, start + QUERIES_AT_ONCE), max(ks)) for start in starts])
    recalls = {f"index_recall_{k}": index_recall(ranking.distances[places], far, k) for k in sorted(ks)}
    return recalls, {"index_refilled": int(ranking.refilled.sum()), "index_sampled": sampled}


def _distances(asked: _Asked, k: int) -> NDArray[np.float64]:
    """Measure the first k of each query, without an index: float64 [q, k]."""
    places, kinds = asked.kinds()
    return np.concatenate([each.nearest(k, 0)[0].distances for each in kinds])[np.argsort(places)]
