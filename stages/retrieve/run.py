"""`retrieve` from end to end: read matrices and labels, rank with `ranking`, score with `metrics`, write all files."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.contract import Progress
from stages.models.features.opening import open_aligned
from stages.models.measures.tiers import Tiers
from stages.models.workers import WorkerPool
from stages.retrieve.approximate import HnswIndex
from stages.retrieve.by_workers import rank_where_it_pays
from stages.retrieve.features import (
    Block,
    FeatureRows,
    at_mean,
    at_mean_distance,
    inputs_of,
    offered_inputs,
    scaled_blocks,
)
from stages.retrieve.metrics import metric_intervals, query_counts, reached_shares, retrieval_metrics, write_curve
from stages.retrieve.params import RetrieveParams
from stages.retrieve.ranking import Ranking, Search, measure_index
from stages.retrieve.relevance import relevance_of
from stages.retrieve.roles import Roles, cast_roles, check_reach, exclusions_of
from store import Matrix
from store.files.publish import atomic_output
from store.files.reading import file_digest
from store.items.manifest import Manifest
from store.items.records import IMAGE
from store.items.split import read_roles, read_split
from store.results.cards import EntryCard


def write_ranked(path: Path, table: pa.Table, params: RetrieveParams) -> None:
    """Write the ranked results, with what made them in the metadata `diptych` of the schema."""
    note = json.dumps(params.model_dump(), ensure_ascii=False, sort_keys=True)
    pq.write_table(table.replace_schema_metadata({b"diptych": note.encode()}), path, compression="zstd")


_LOG = logging.getLogger("diptych.retrieve")


@dataclass(frozen=True)
class RetrieveInputs:
    """What one retrieval system reads: `matrices` and their cards' `digests`, in the order of its `features`."""

    manifest: Path
    split: Path
    matrices: tuple[Path, ...]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class RetrieveOutputs:
    """What one retrieval system writes: its `card`, `ranked` as Parquet, `curve` as CSV."""

    card: Path
    ranked: Path
    curve: Path


def run(
    params: RetrieveParams,
    inputs: RetrieveInputs,
    outputs: RetrieveOutputs,
    progress: Progress,
    pool: WorkerPool | None = None,
) -> EntryCard:
    """Rank the gallery for every query and score the ranking.

    Parameters
    ----------
    pool : WorkerPool, optional
        Whose workers rank, where that pays; without them this process does.

    Returns
    -------
    EntryCard
        `retrieval_metrics` and the ends of their intervals, with `exclude_identical` each ``with_identical_top_K``, for
        `kmeans_svm` what `search_tiers` measures, with an index what `measure_index` tells; how many queries there were
        and how many rows had to stay out and why; ``features``, ``head``, ``task``, the name of the index and
        ``ranked_digest`` (SHA-256 of the ranked file).

    Raises
    ------
    InputError
        When the inputs do not belong together, there is nothing to judge relevance by, k is larger than the gallery of
        a query, there are fewer distinct train vectors than clusters, or the library of the index is not installed;
        when a worker does not see the matrices. Nothing is written then.
    RunError
        When the workers are lost.
    """
    manifest = Manifest.open(inputs.manifest)
    ids = manifest.ids()
    matrices = open_aligned(inputs.matrices, ids, inputs.digests)
    there = inputs_of(matrices)
    relevance, judged = relevance_of(params, manifest)
    roles, exclusions = _roles(params, inputs, ids, there, judged), exclusions_of(params, manifest, identical=True)
    check_reach(params, roles, exclusions, there)
    _tell_fused(params, matrices, manifest, roles)
    blocks = scaled_blocks(matrices, params.scale, roles.fit)
    tiers, measured = _search_order(params, blocks, roles)
    features = _compared(params, blocks, roles)
    index = HnswIndex.build(features, progress) if params.index == "hnsw" else None
    search = Search(features, roles, tiers, relevance, exclusions, index)
    ranking = rank_where_it_pays(search, max(params.k), progress, pool)
    outcome = ranking.outcome()
    recalls, sampled = ({}, {}) if index is None else measure_index(search, ranking, params.k)
    metrics = {**retrieval_metrics(outcome, params.k), **_intervals(params, manifest, search, ranking)}
    metrics |= {**recalls, **measured}
    if params.exclude_identical:
        with_all = replace(search, exclusions=exclusions_of(params, manifest, identical=False))
        every = rank_where_it_pays(with_all, max(params.k), progress, pool)
        shares = reached_shares(every.outcome(), params.k)
        metrics |= {f"with_identical_top_{k}": share for k, share in shares.items()}
    with atomic_output(outputs.ranked) as ranked:
        write_ranked(ranked, ranking.table(ids), params)
        digest = file_digest(ranked)
    write_curve(outputs.curve, outcome)
    card = EntryCard(metrics, {**query_counts(outcome), **roles.counts, **sampled}, _made_of(params, manifest, digest))
    card.write(outputs.card)
    return card


def _intervals(params: RetrieveParams, manifest: Manifest, search: Search, ranking: Ranking) -> dict[str, float]:
    groups = np.unique(np.array(manifest.groups(), dtype=np.str_)[search.roles.queries], return_inverse=True)[1]
    return metric_intervals(ranking.outcome(), params.k, groups)


def _made_of(params: RetrieveParams, manifest: Manifest, ranked: str) -> dict[str, str]:
    return {
        "features": " + ".join(params.features),
        "head": params.head,
        "task": manifest.info.task,
        "ranked_digest": ranked,
        **({"index": params.index} if params.index == "hnsw" else {}),
    }


def _tell_fused(params: RetrieveParams, matrices: Sequence[Matrix], manifest: Manifest, roles: Roles) -> None:
    """Warn of missing inputs that cannot be told from others, since one vector holds several inputs."""
    fused = {name: m.attributes["features"] for name, m in zip(params.features, matrices, strict=True) if _fused(m)}
    rows = np.union1d(roles.queries, roles.gallery)
    shares = [manifest.keys(each)[1][rows].mean() for each in (*manifest.info.fields, IMAGE) if fused]
    if any(0 < share < 1 for share in shares):
        for name, sources in fused.items():
            _LOG.warning(
                "retrieve: %s holds %s in one vector: items that lack one hold its missing vector and lie near "
                "each other; `features: [%s]` compares only what two items both have",
                name,
                " and ".join(sources),
                ", ".join(sources),
            )


def _fused(matrix: Matrix) -> bool:
    return "fusion" in matrix.attributes and len(matrix.attributes["features"]) > 1


def _compared(params: RetrieveParams, blocks: Sequence[Block], roles: Roles) -> FeatureRows:
    """Lay the inputs side by side that can be compared, what a missing one counts included."""
    offered = offered_inputs(inputs_of([block.matrix for block in blocks]), roles.gallery)
    for name, found in zip(params.features, offered, strict=True):
        if not found:
            _LOG.warning("retrieve: no gallery item has %s: it is left out of the ranking", name)
    compared = [block for block, found in zip(blocks, offered, strict=True) if found]
    return FeatureRows(at_mean_distance(compared, roles.gallery), roles.gallery)


def _search_order(params: RetrieveParams, blocks: Sequence[Block], roles: Roles) -> tuple[Tiers, dict[str, float]]:
    if params.clustering is None:
        return Tiers.single(len(roles.queries), len(roles.gallery)), {}
    # scikit-learn, which takes four fifths of the start of a `knn` that never calls it
    from stages.retrieve.clusters import search_tiers

    return search_tiers(params.clustering, FeatureRows(at_mean(blocks, roles.fit), roles.gallery), roles)


def _roles(
    params: RetrieveParams, inputs: RetrieveInputs, ids: list[str], there: np.ndarray, judged: np.ndarray
) -> Roles:
    given = read_roles(inputs.split, ids) if params.gallery == "split" else None
    return cast_roles(params, read_split(inputs.split, ids), given, there, judged)
