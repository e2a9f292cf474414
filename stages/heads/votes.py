"""What the nearest train rows of a fitted `knn` head say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from stages.heads.neighbours import nearest


def mean_targets(estimator: BaseEstimator, x: NDArray[Any]) -> NDArray[np.float64]:
    """Average the targets of the nearest train rows of each row, of equally near ones the first.

    scikit-learn's own `predict_proba` does not promise which of several repeated vectors count.

    Parameters
    ----------
    estimator : KNeighborsRegressor or KNeighborsClassifier
        Fitted; a classifier of labels that are 0 or 1, both of which occur.
    x : ndarray, shape [n, D]

    Returns
    -------
    ndarray of float64, shape [n, targets]

    Source: docs/systems/heads.md#knn.
    """
    found = _targets(estimator, x).mean(axis=1)
    return np.asarray(found.reshape(len(x), -1), dtype=np.float64)


def class_shares(estimator: BaseEstimator, x: NDArray[Any]) -> NDArray[np.float64]:
    """Tell the share of every class among the nearest train rows of each row: [n, classes of a classifier]."""
    classes = _targets(estimator, x)
    shares = np.zeros((len(x), len(estimator.classes_)))
    np.add.at(shares, (np.arange(len(x))[:, None], classes), 1.0 / classes.shape[1])
    return shares


def _targets(estimator: BaseEstimator, x: NDArray[Any]) -> NDArray[Any]:
    """Return the targets as the estimator keeps them, classes by number: [n, k] or [n, k, targets]."""
    rows = nearest(x, estimator._fit_X, estimator.n_neighbors).indices
    return np.asarray(estimator._y[rows])
