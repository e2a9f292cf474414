"""Ranks items for one query that is none of them, given its vectors; `diptych search` brings these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress, Tracker
from stages.models.measures.neighbours import Picks
from stages.models.measures.tiers import Tiers, nearest_in_tiers
from stages.retrieve.features import Block, FeatureRows, Ints, at_mean, at_mean_distance, offered_inputs
from stages.retrieve.params import RetrieveParams
from stages.retrieve.relevance import relevance_of
from store.errors import InputError
from store.items.manifest import Manifest

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """The nearest items of one query: `rows` int64 [k] of the manifest, `distances` float64 [k] in the same order."""

    rows: Ints
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class Gallery:
    """Who may be found: `items` int64 [G], and how many items of the part have no input and are `left_out`."""

    items: Ints
    left_out: int


def choose_gallery(offered: Bools, usable: Bools, k: int) -> Gallery:
    """Choose who may be found.

    Parameters
    ----------
    offered, usable : bool [N]
        Whether the item stands in the part that is searched, and whether it has any of the inputs.
    k : int
        How many are to be found, at least 1.

    Raises
    ------
    InputError
        When there are fewer.
    """
    items = np.flatnonzero(offered & usable)
    if k > len(items):
        raise InputError(
            f"expected k of at most {len(items)}, the items that can be found, found {k}; lower k or search more parts"
        )
    return Gallery(items, int((offered & ~usable).sum()))


def learning_rows(params: RetrieveParams, manifest: Manifest, parts: NDArray[np.str_], usable: Bools) -> Ints:
    """Return the rows that scaling and clusters of a system learn from, as `retrieve` has them: int64 [F].

    Parameters
    ----------
    usable : bool [N]
        Whether the item has any of the system's inputs.

    Raises
    ------
    InputError
        When there is nothing to judge relevance by: items without it teach nothing.
    """
    if params.scale != "standard" and params.clustering is None:
        return np.zeros(0, np.int64)
    _, judged = relevance_of(params, manifest)
    return np.flatnonzero(usable & judged & (parts == "train"))


def ask(
    params: RetrieveParams,
    vectors: Sequence[NDArray[Any] | None],
    features: FeatureRows,
    fit: Ints,
    k: int,
    progress: Progress,
) -> Answer:
    """Rank the gallery for one query, as `retrieve` would rank it for an item with these vectors.

    Parameters
    ----------
    params : RetrieveParams
        The system; its head ranks.
    vectors : sequence of ndarray, [1, D_m], or None
        The query's vector for each block of `features`, in the stored type and not yet scaled; None where it lacks this
        input. One at least is an input that some item of the gallery has.
    features : FeatureRows
        All inputs of the system, for the gallery: items that have one of those of the query.
    fit : int64 [F]
        What `learning_rows` gives.
    k : int
        How many to find: at least 1, and no more than the gallery has.
    progress : Progress
        Counts the gallery rows that are read.

    Raises
    ------
    InputError
        When the train rows hold fewer distinct vectors than clusters.

    Source: docs/systems/heads.md#knn.
    """
    offered = offered_inputs(features.inputs(), features.items)
    given = [at for at, vector in enumerate(vectors) if vector is not None and offered[at]]
    compared = features.reading(given)
    compared = replace(compared, blocks=at_mean_distance(compared.blocks, features.items))
    query = _query(compared.blocks, [vectors[at] for at in given])
    tiers = _tiers(params, vectors, features, fit, progress)
    with progress.track("search", len(features)) as tracker:
        near = nearest_in_tiers(query, _Watched(compared, tracker), k, tiers)
    return Answer(features.items[near.indices[0]], near.distances[0])


def _query(blocks: Sequence[Block], vectors: Sequence[NDArray[Any] | None]) -> NDArray[np.float64]:
    """Scale the query's vectors and lay them side by side; the stand-in of its block is in place of each None."""
    rows = []
    for block, vector in zip(blocks, vectors, strict=True):
        there = np.array([vector is not None])
        values = np.zeros((1, block.matrix.dim)) if vector is None else np.asarray(vector, dtype=np.float64)
        rows.append(block.completed(block.scaled(values), there))
    return np.concatenate(rows, axis=1)


def _tiers(
    params: RetrieveParams,
    vectors: Sequence[NDArray[Any] | None],
    features: FeatureRows,
    fit: Ints,
    progress: Progress,
) -> Tiers:
    if params.clustering is None:
        return Tiers.single(1, len(features))
    from stages.retrieve.clusters import query_tiers  # scikit-learn, which `knn` never calls

    with progress.track("cluster the train rows", None):
        blocks = at_mean(features.blocks, fit)
        return query_tiers(params.clustering, _query(blocks, vectors), replace(features, blocks=blocks), fit)


@dataclass(frozen=True)
class _Watched:
    """Rows of the gallery that are counted when they are read."""

    features: FeatureRows
    tracker: Tracker

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Picks) -> NDArray[Any]:
        found = self.features[rows]
        self.tracker.advance(len(found))
        return found
