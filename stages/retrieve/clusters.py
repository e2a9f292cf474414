"""Fits the head of a retrieval on its train rows and says in which order each query searches; between `run` and it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.heads.kmeans_svm import KMeansSvm
from stages.heads.tiers import Tiers
from stages.retrieve.features import FeatureRows
from stages.retrieve.params import RetrieveParams
from stages.retrieve.roles import Roles

_STEP = 4096


def search_tiers(params: RetrieveParams, features: FeatureRows, roles: Roles) -> tuple[Tiers, dict[str, float]]:
    """Prepare the search of every query.

    Returns
    -------
    Tiers
        Of `roles.queries` and `roles.gallery`; for `knn` the whole gallery is one cluster.
    dict
        What the head itself is measured by: ``cluster_accuracy`` of `kmeans_svm`, nothing for `knn`.

    Raises
    ------
    InputError
        When the train rows hold fewer distinct vectors than clusters.

    Source: systems.md 5.1.
    """
    options = params.clustering
    if options is None:
        return Tiers.single(len(roles.queries), len(roles.gallery)), {}
    model = KMeansSvm(options.clusters, options.seed).fit(features.only(roles.fit)[:])
    asked = features.only(roles.queries)
    order = np.concatenate([model.order(asked[part]) for part in _parts(len(asked))])
    accuracy = float((order[:, 0] == _assigned(model, asked)).mean())
    return Tiers(order, _assigned(model, features.only(roles.gallery))), {"cluster_accuracy": accuracy}


def _assigned(model: KMeansSvm, rows: FeatureRows) -> NDArray[np.int64]:
    return np.concatenate([model.assign(rows[part]) for part in _parts(len(rows))])


def _parts(count: int) -> list[slice]:
    return [slice(start, start + _STEP) for start in range(0, count, _STEP)]
