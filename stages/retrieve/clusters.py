"""Fits the head of a retrieval on its train rows and says in which order each query searches; between `run` and it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.models.heads.kmeans_svm import KMeansSvm
from stages.models.heads.options import KMeansSvmOptions
from stages.models.measures.tiers import Tiers
from stages.retrieve.features import FeatureRows, Ints
from stages.retrieve.roles import Roles

_STEP = 4096


def search_tiers(options: KMeansSvmOptions, features: FeatureRows, roles: Roles) -> tuple[Tiers, dict[str, float]]:
    """Prepare the search of every query with `kmeans_svm`.

    Returns
    -------
    Tiers
        Of `roles.queries` and `roles.gallery`.
    dict
        What the head itself is measured by: ``cluster_accuracy``, the share of queries whose cluster the machine tells
        as k-means does; ``ovr_accuracy``, the same in one-vs-rest decisions; ``cluster_accuracy_majority``, what the
        largest cluster of the train rows reaches when it is always told.

    Raises
    ------
    InputError
        When the train rows hold fewer distinct vectors than clusters.

    Source: docs/systems/heads.md#kmeans_svm.
    """
    model = KMeansSvm(options.clusters, options.seed).fit(features.only(roles.fit)[:])
    asked = features.only(roles.queries)
    order = np.concatenate([model.order(asked[part]) for part in _parts(len(asked))])
    measured = _measured(model, order[:, 0], _assigned(model, asked))
    return Tiers(order, _assigned(model, features.only(roles.gallery))), measured


def query_tiers(options: KMeansSvmOptions, query: NDArray[np.float64], gallery: FeatureRows, fit: Ints) -> Tiers:
    """Prepare the search of one query [1, D] that is no item, in clusters of the train rows `fit` as `search_tiers`.

    Raises
    ------
    InputError
        When the train rows hold fewer distinct vectors than clusters.
    """
    model = KMeansSvm(options.clusters, options.seed).fit(gallery.only(fit)[:])
    return Tiers(model.order(query), _assigned(model, gallery))


def _measured(model: KMeansSvm, told: NDArray[np.int64], true: NDArray[np.int64]) -> dict[str, float]:
    accuracy = float((told == true).mean())
    largest = int(np.bincount(model.labels_).argmax())
    return {
        "cluster_accuracy": accuracy,
        "ovr_accuracy": ovr_accuracy(accuracy, model.n_clusters),
        "cluster_accuracy_majority": float((true == largest).mean()),
    }


def ovr_accuracy(accuracy: float, classes: int) -> float:
    """Return (TP + TN) / all over the C one-vs-rest decisions of a row: each wrong row has two wrong ones of C.

    Paper 4's eq. 4 may be this; 15 classes at an accuracy of .443 give .926.
    """
    return 1.0 - 2.0 * (1.0 - accuracy) / classes


def _assigned(model: KMeansSvm, rows: FeatureRows) -> NDArray[np.int64]:
    return np.concatenate([model.assign(rows[part]) for part in _parts(len(rows))])


def _parts(count: int) -> list[slice]:
    return [slice(start, start + _STEP) for start in range(0, count, _STEP)]
