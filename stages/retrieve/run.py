"""`retrieve` from end to end: read matrices and labels, rank with `ranking`, score with `metrics`, write both files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.contract import Progress
from stages.errors import InputError
from stages.features import open_aligned
from stages.items import Manifest
from stages.outputs import write_json
from stages.parts import read_split
from stages.retrieve.clusters import search_tiers
from stages.retrieve.features import FeatureRows, scaled_blocks
from stages.retrieve.metrics import retrieval_metrics
from stages.retrieve.params import RetrieveParams
from stages.retrieve.ranking import rank
from stages.retrieve.relevance import Labels, Relevance
from stages.retrieve.roles import cast_roles
from stages.retrieve.writing import file_digest, write_ranked
from store.publish import atomic_output


@dataclass(frozen=True)
class RetrieveInputs:
    """What one retrieval system reads: `matrices` and their cards' `digests`, in the order of its `features`."""

    manifest: Path
    split: Path
    matrices: tuple[Path, ...]
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class RetrieveOutputs:
    """What one retrieval system writes: `metrics` as JSON, `ranked` as Parquet."""

    metrics: Path
    ranked: Path


def run(params: RetrieveParams, inputs: RetrieveInputs, outputs: RetrieveOutputs, progress: Progress) -> dict[str, Any]:
    """Rank the gallery for every query and score the ranking.

    Returns
    -------
    dict
        What the metrics file holds: the counts and metrics of `retrieval_metrics`, how many rows had to stay out and
        why, for `kmeans_svm` its ``cluster_accuracy``, ``features``, ``head`` and ``ranked_digest`` (SHA-256 of the
        ranked file).

    Raises
    ------
    InputError
        When the inputs do not belong together, the task has no labels, k is larger than the gallery, or there are
        fewer distinct train vectors than clusters. Nothing is written then.
    """
    manifest = Manifest.open(inputs.manifest)
    ids, labels = manifest.ids(), _labels(manifest)
    matrices = open_aligned(inputs.matrices, ids, inputs.digests)
    usable = np.any([np.asarray(matrix.usable) for matrix in matrices], axis=0)
    roles = cast_roles(params, read_split(inputs.split, ids), usable, manifest.labelled())
    features = FeatureRows(scaled_blocks(matrices, params.scale, roles.fit), roles.gallery)
    tiers, measured = search_tiers(params, features, roles)
    ranking = rank(features, roles, tiers, Relevance(labels, params.relevance), max(params.k), progress)
    values: dict[str, Any] = {**retrieval_metrics(ranking.outcome(), params.k), **roles.counts, **measured}
    values |= {"features": " + ".join(params.features), "head": params.head, "task": manifest.info.task}
    with atomic_output(outputs.ranked) as ranked:
        write_ranked(ranked, ranking.table(ids), params)
        values["ranked_digest"] = file_digest(ranked)
    write_json(outputs.metrics, values)
    return values


def _labels(manifest: Manifest) -> Labels:
    """Read what relevance is judged by."""
    if manifest.info.task == "regression":
        raise InputError(
            "expected a task with labels (multilabel or multiclass), found a regression: no item is relevant to "
            "another; remove the section `retrieve` or name a label column"
        )
    return manifest.class_index() if manifest.info.task == "multiclass" else manifest.label_matrix()
