"""`kmeans_svm`: a machine that tells a query's cluster, then the nearest within it; `retrieve` ranks galleries so."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from stages.models.heads.classical import dummy, svm
from stages.models.heads.model import Problem
from stages.models.heads.options import DummyOptions, SvmOptions
from stages.models.heads.skops_file import load_estimator, save_estimator
from stages.models.measures.neighbours import Ints, Neighbours, nearest
from stages.models.measures.tiers import Tiers, nearest_in_tiers
from store.errors import InputError

_FILE = "kmeans_svm.skops"
_STARTS = 10
_LOG = logging.getLogger("diptych.heads")
Array = NDArray[Any]


class KMeansSvm(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """K-means on train vectors, and a support vector machine that learns their clusters.

    Parameters
    ----------
    n_clusters : int
        15 is the published number.
    seed : int
        Of the first centroids.

    Attributes
    ----------
    kmeans_ : KMeans
    svm_ : BaseEstimator
        RBF machine on standardised features; a constant predictor when there is a single cluster.
    labels_ : ndarray of int64, [n]
        The clusters of the train rows; all of 0..n_clusters-1 occur.

    Source: docs/systems/heads.md#kmeans_svm.
    """

    def __init__(self, n_clusters: int = 15, seed: int = 0) -> None:
        self.n_clusters = n_clusters
        self.seed = seed

    def fit(self, x: Array, y: Any = None) -> Self:  # noqa: ARG002 (scikit-learn's signature)
        """Fit on train rows [n, D].

        Raises
        ------
        InputError
            When the rows hold fewer distinct vectors than there are clusters.
        """
        rows = validate_data(self, x, dtype=np.float64)
        self._check(_distinct(rows, self.n_clusters))
        means = KMeans(self.n_clusters, n_init=_STARTS, random_state=self.seed)
        with threadpool_limits(limits=1), warnings.catch_warnings():  # several threads add up in an order of their own
            warnings.simplefilter("ignore", ConvergenceWarning)  # of vectors too close to tell apart: refused below
            self.kmeans_ = means.fit(rows)
        self.labels_ = self.kmeans_.labels_.astype(np.int64)
        self._check(len(np.unique(self.labels_)))
        self.svm_ = self._machine().fit(rows, self.labels_)
        return self

    def _check(self, found: int) -> None:
        if found < self.n_clusters:
            raise InputError(
                f"head kmeans_svm: expected train rows with at least {self.n_clusters} distinct vectors, one for each "
                f"cluster; found {found}; lower `clusters`."
            )

    def _machine(self) -> BaseEstimator:
        problem = Problem("multiclass", self.n_clusters, self.seed)
        if self.n_clusters > 1:
            return svm(SvmOptions(), problem)
        _LOG.warning("head kmeans_svm: there is a single cluster to learn: it is predicted always, as dummy does")
        return dummy(DummyOptions(), problem)

    def predict(self, x: Array) -> Ints:
        """Tell the cluster of each row [n, D] as the machine sees it, int64 [n]."""
        rows = self._rows(x)
        return np.asarray(self.svm_.predict(rows), dtype=np.int64)

    def assign(self, x: Array) -> Ints:
        """Tell the cluster of the nearest centroid, int64 [n]: what `predict` is to find."""
        rows = self._rows(x)
        return np.asarray(self.kmeans_.predict(rows), dtype=np.int64)

    def cluster_accuracy(self, x: Array) -> float:
        """Return the share of rows whose predicted cluster is that of the nearest centroid."""
        return float((self.predict(x) == self.assign(x)).mean())

    def order(self, x: Array) -> Ints:
        """Tell in which order rows [n, D] visit the clusters, int64 [n, C]: the predicted one, then by nearness."""
        rows = self._rows(x)
        near = nearest(rows, self.kmeans_.cluster_centers_, self.n_clusters).indices
        others = near != self.predict(rows)[:, None]
        return np.asarray(np.take_along_axis(near, np.argsort(others, axis=1, kind="stable"), axis=1))

    def rank(self, queries: Array, gallery: Array, k: int) -> Neighbours:
        """Rank gallery rows [G, D] for each query [Q, D], the predicted cluster first.

        Raises
        ------
        InputError
            When k is larger than the gallery.
        """
        asked, offered = self._rows(queries), self._rows(gallery)
        if not 1 <= k <= len(offered):
            raise InputError(f"head kmeans_svm: expected k from 1 to {len(offered)}, the gallery rows; found {k}.")
        return nearest_in_tiers(asked, offered, k, Tiers(self.order(asked), self.assign(offered)))

    def _rows(self, x: Array) -> NDArray[np.float64]:
        check_is_fitted(self, "svm_")
        return np.asarray(validate_data(self, x, dtype=np.float64, reset=False))

    def save(self, folder: Path) -> None:
        """Write `kmeans_svm.skops` into an existing folder."""
        save_estimator(folder / _FILE, {"kmeans": self.kmeans_, "svm": self.svm_})

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_estimator(folder / _FILE)
        self.kmeans_, self.svm_ = saved["kmeans"], saved["svm"]
        self.labels_ = self.kmeans_.labels_.astype(np.int64)
        self.n_clusters, self.n_features_in_ = self.kmeans_.cluster_centers_.shape
        return self


def _distinct(rows: NDArray[np.float64], enough: int) -> int:
    """Count distinct rows, up to `enough`."""
    seen: set[bytes] = set()
    for row in rows:
        seen.add((row + 0.0).tobytes())  # -0.0 and 0.0 are one number
        if len(seen) == enough:
            break
    return len(seen)
