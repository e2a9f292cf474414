"""Have the workers of an executor rank chunks of queries; `run` gets the ranking that it would compute itself.

What `ranking` needs besides the matrices (roles, tiers, labels, exclusions, scales) is put into a scratch folder once,
so that nothing is fitted twice. Each worker reads it once, opens the matrices by path, and leaves its chunks there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from stages.contract import Progress
from stages.models.features.opening import open_place, place_of
from stages.models.measures.tiers import Tiers
from stages.models.workers import (
    LEAST_PRODUCTS,
    WorkerPool,
    arrays_of,
    held_once,
    refuse_other_versions,
    report_of,
    told_where,
    versions_of,
)
from stages.retrieve.features import Block, FeatureRows
from stages.retrieve.ranking import QUERIES_AT_ONCE, Ranking, Search, joined, rank, rank_part
from stages.retrieve.relevance import Relevance
from stages.retrieve.roles import Exclusions, Roles
from store.errors import RunError, UnitLost
from store.files.scratch import put_arrays, scratch_folder, take_arrays

_LOG = logging.getLogger("diptych.retrieve")
_COMPUTING = ("numpy",)


def rank_where_it_pays(search: Search, k: int, progress: Progress, pool: WorkerPool | None) -> Ranking:
    """Rank the gallery for every query, by workers when they are asked for and there is enough to do.

    The parameters are those of `rank`, and so is what comes of it.

    Raises
    ------
    InputError
        When a worker does not see a matrix or the scratch folder, or has other versions.
    RunError
        When a chunk loses one worker after the other, or the workers are gone.
    """
    if pool is None or not pool.executor.apart:
        return rank(search, k, progress)
    if search.index is not None:
        _LOG.warning("index: hnsw: the graph lies in this process, which ranks by it alone")
        return rank(search, k, progress)
    if not _pays(search):
        _LOG.info("ranked by this process: workers would take longer to start")
        return rank(search, k, progress)
    with scratch_folder(pool.scratch) as folder:
        return _rank_by_workers(search, k, progress, pool, folder)


def _pays(search: Search) -> bool:
    queries, gallery = len(search.roles.queries), len(search.roles.gallery)
    width = sum(block.matrix.dim for block in search.features.blocks)
    return queries > QUERIES_AT_ONCE and queries * gallery * width >= LEAST_PRODUCTS


def _rank_by_workers(search: Search, k: int, progress: Progress, pool: WorkerPool, folder: Path) -> Ranking:
    order, parts, queries = _order_of(search, k, pool, folder), [], search.roles.queries
    starts = range(0, len(queries), QUERIES_AT_ONCE)
    units = [
        {"order": order, "start": start, "stop": start + QUERIES_AT_ONCE, "into": str(folder / f"{start}.npz")}
        for start in starts
    ]
    try:
        chunks = arrays_of(pool.executor, rank_chunk, units)
        with closing(chunks), progress.track("retrieve", len(queries)) as bar:
            for arrays in chunks:
                parts.append(Ranking(**arrays))
                bar.advance(len(parts[-1].queries))
    except UnitLost as lost:
        first = search.features.blocks[0].matrix.ids[int(queries[starts[lost.unit]])]
        raise RunError(
            f"retrieve: expected up to {QUERIES_AT_ONCE} queries to be ranked, the first of item {first!r}; found "
            f"{lost}; see the workers' logs: were they out of memory? DIPTYCH_EXECUTOR=serial ranks here."
        ) from lost
    return joined(parts)


def _order_of(search: Search, k: int, pool: WorkerPool, folder: Path) -> dict[str, Any]:
    """Say in plain JSON data what a worker must know besides the place of its chunk, and put the arrays of it down."""
    blocks, roles, codes = search.features.blocks, search.roles, search.exclusions.codes
    arrays = {
        "queries": roles.queries,
        "gallery": roles.gallery,
        "tier_order": search.tiers.order,
        "tier_clusters": search.tiers.clusters,
        "labels": search.relevance.labels,
        **{f"codes_{number}": each for number, each in enumerate(codes)},
        **{f"shift_{number}": each.shift for number, each in enumerate(blocks)},
        **{f"spread_{number}": each.spread for number, each in enumerate(blocks)},
        **{f"stand_in_{number}": each.stand_in for number, each in enumerate(blocks) if each.stand_in is not None},
    }
    return {
        "k": k,
        "matrices": [place_of(block.matrix, pool.verified) for block in blocks],
        "scales": [block.scale for block in blocks],
        "rule": search.relevance.rule,
        "at_least": search.relevance.at_least,
        "codes": len(codes),
        "arrays": str(folder / "search.npz"),
        "arrays_digest": put_arrays(folder / "search.npz", **arrays),
        "versions": versions_of(*_COMPUTING),
    }


def rank_chunk(unit: Mapping[str, Any]) -> dict[str, str]:
    """Rank the gallery for one chunk of queries, on a worker.

    Parameters
    ----------
    unit : mapping
        `order`: what is the same for all chunks; `start`, `stop`: positions among the queries; `into`: what the file
        of the fields of `Ranking` is named after.

    Returns and raises as `workers.report_of` tells.
    """
    with told_where():
        search = _hold(unit["order"])
        return report_of(unit, **vars(rank_part(search, unit["start"], unit["stop"], unit["order"]["k"])))


@held_once
def _hold(order: Mapping[str, Any]) -> Search:
    refuse_other_versions(order["versions"])
    arrays = take_arrays(Path(order["arrays"]), order["arrays_digest"])
    blocks = tuple(
        Block(open_place(place), scale, arrays[f"shift_{at}"], arrays[f"spread_{at}"], arrays.get(f"stand_in_{at}"))
        for at, (place, scale) in enumerate(zip(order["matrices"], order["scales"], strict=True))
    )
    gallery = arrays["gallery"]
    return Search(
        FeatureRows(blocks, gallery),
        Roles(arrays["queries"], gallery, np.zeros(0, np.int64), {}),
        Tiers(arrays["tier_order"], arrays["tier_clusters"]),
        Relevance(arrays["labels"], order["rule"], order["at_least"]),
        Exclusions(tuple(arrays[f"codes_{number}"] for number in range(order["codes"]))),
    )
