"""Margins of many support vector machines over the same train rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

_ROWS = 4096  # rows of the kernel matrix held at once


def is_shared(estimator: object) -> bool:
    """Tell whether `margins` serves this fitted estimator: a scaler, then RBF machines of two classes each."""
    if not isinstance(estimator, Pipeline) or not isinstance(estimator[-1], OneVsRestClassifier):
        return False
    return all(isinstance(each, SVC) and each.kernel == "rbf" for each in estimator[-1].estimators_)


def margins(estimator: Pipeline, x: NDArray[Any]) -> NDArray[np.float64]:
    """Compute what `decision_function` gives, each kernel value once.

    scikit-learn lets every machine of a one-against-the-rest classifier compute its own: for 36 labels, 36 times.

    Parameters
    ----------
    estimator : Pipeline
        Fitted, one for which `is_shared` holds.
    x : ndarray, shape [n, D]

    Returns
    -------
    ndarray of float64, shape [n, labels]
    """
    machines = estimator[-1].estimators_
    # Indices of support vectors are those of the train rows, which all machines share.
    rows = np.unique(np.concatenate([each.support_ for each in machines]))
    vectors = np.empty((len(rows), machines[0].support_vectors_.shape[1]))
    weights = np.zeros((len(rows), len(machines)))
    for label, each in enumerate(machines):
        places = np.searchsorted(rows, each.support_)
        vectors[places] = each.support_vectors_
        weights[places, label] = each.dual_coef_[0]
    offsets = np.array([each.intercept_[0] for each in machines])
    scaled = estimator[:-1].transform(x)
    # All machines saw the same rows, so `gamma` is one number for all.
    parts = np.split(scaled, range(_ROWS, len(scaled), _ROWS))
    gamma = machines[0]._gamma
    return np.concatenate([rbf_kernel(part, vectors, gamma=gamma) @ weights + offsets for part in parts])
