"""Exact ranking in tiers: a query's first cluster of gallery rows by distance, then its second, and so on.

`neighbours` ranks within a cluster, `kmeans_svm` says which cluster comes when. With a single cluster it is `knn`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.models.measures.neighbours import Allowed, Ints, Neighbours, Picks, VectorRows, nearest, ranks_of

_STEP = 4096


@dataclass(frozen=True)
class Tiers:
    """Which clusters each query visits, and which gallery rows lie there.

    Attributes
    ----------
    order : int64 [Q, C]
        All clusters, in the order in which the query visits them.
    clusters : int64 [G]
        The cluster of each gallery row.
    """

    order: Ints
    clusters: Ints

    @classmethod
    def single(cls, queries: int, gallery: int) -> Self:
        """Put the whole gallery into one cluster: plain nearest neighbours."""
        return cls(np.zeros((queries, 1), np.int64), np.zeros(gallery, np.int64))

    def only(self, queries: Picks) -> Self:
        """Keep some of the queries."""
        return replace(self, order=self.order[queries])

    def visits(self, place: int, asking: NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
        """Yield the queries that visit a cluster at this place [q], of those asking, with the rows in it [g]."""
        for cluster in np.unique(self.order[asking, place]):
            queries = np.flatnonzero(asking & (self.order[:, place] == cluster))
            members = np.flatnonzero(self.clusters == cluster)
            if len(members):
                yield queries, members


@dataclass(frozen=True)
class _Picked:
    """Some rows of others, read when they are asked for."""

    source: VectorRows
    picks: Ints

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, rows: Picks) -> NDArray[Any]:
        return self.source[self.picks[rows]]


def nearest_in_tiers(
    queries: VectorRows, gallery: VectorRows, k: int, tiers: Tiers, allowed: Allowed | None = None
) -> Neighbours:
    """Find the first k gallery rows of every query's ranking, exactly.

    Parameters
    ----------
    queries, gallery, k, allowed
        As in `neighbours.nearest`.
    tiers : Tiers
        Of these queries and this gallery.

    Returns
    -------
    Neighbours
        Distances never decrease along a row within a cluster.

    Source: docs/systems/heads.md#kmeans_svm.
    """
    count, clusters = tiers.order.shape
    found = Neighbours(np.full((count, k), -1, np.int64), np.full((count, k), np.inf))
    filled = np.zeros(count, np.int64)
    for place in range(clusters):
        for asking, members in tiers.visits(place, filled < k):
            near = nearest(_Picked(queries, asking), _Picked(gallery, members), k, _among(allowed, asking, members))
            _append(found, filled, asking, Neighbours(members[near.indices], near.squared))
    return found


def _append(found: Neighbours, filled: Ints, asking: Ints, near: Neighbours) -> None:
    """Put what was found in one cluster behind what is there, as far as there is room."""
    places = filled[asking, None] + np.arange(near.squared.shape[1])
    fits = np.isfinite(near.squared) & (places < found.indices.shape[1])
    rows = np.broadcast_to(asking[:, None], fits.shape)[fits]
    found.indices[rows, places[fits]] = near.indices[fits]
    found.squared[rows, places[fits]] = near.squared[fits]
    filled[asking] += fits.sum(axis=1)


def first_places(queries: VectorRows, gallery: VectorRows, tiers: Tiers, wanted: Allowed, allowed: Allowed) -> Ints:
    """Tell the place of each query's first wanted row in its full ranking.

    Parameters
    ----------
    queries, gallery, tiers
        As in `nearest_in_tiers`.
    wanted, allowed : callable
        Which pairs are looked for, and which the full ranking holds; see `neighbours.nearest`.

    Returns
    -------
    int64 [Q]
        1 for the first of all, 0 where nothing is wanted.
    """
    count, clusters = tiers.order.shape
    places, before = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for place in range(clusters):
        for asking, members in tiers.visits(place, places == 0):
            asked, offered = _Picked(queries, asking), _Picked(gallery, members)
            target = nearest(asked, offered, 1, _among(wanted, asking, members))
            rank = ranks_of(target, asked, offered, _among(allowed, asking, members))
            places[asking] = np.where(rank > 0, before[asking] + rank, 0)
            rest = asking[rank == 0]
            before[rest] += _counted(allowed, rest, members)
    return places


def _counted(allowed: Allowed, asking: Ints, members: Ints) -> Ints:
    total = np.zeros(len(asking), np.int64)
    if len(asking):
        for start in range(0, len(members), _STEP):
            total += allowed(asking, members[start : start + _STEP]).sum(axis=1)
    return total


def _among(allowed: Allowed | None, asking: Ints, members: Ints) -> Allowed | None:
    """Say of the pairs of some queries and some gallery rows what `allowed` says of all."""
    if allowed is None:
        return None
    return lambda rows, columns: allowed(asking[rows], members[columns])
