"""Vectors in two dimensions, and how well their classes stand apart; docs/systems/evaluation.md#t-sne."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from stages.evaluate.params import TsneParams
from stages.evaluate.tsne_rows import FEWEST
from stages.heads.model import Array

_LOG = logging.getLogger("diptych.evaluate")


def objection(vectors: Array) -> str:
    """Say why vectors [n, D] cannot be drawn; nothing where they can."""
    if len(vectors) < FEWEST:
        return f"{len(vectors)} rows have it, and {FEWEST} are the fewest"
    if vectors.shape[1] < 2:
        return "its vectors are a single number"
    return "its vectors are all equal" if (vectors == vectors[0]).all() else ""


def fitting_perplexity(panel: str, rows: int, wanted: float) -> float:
    """Return the perplexity, which must be less than the rows: otherwise (rows - 1) / 3, with a warning."""
    if wanted < rows:
        return wanted
    fitting = (rows - 1) / 3
    _LOG.warning("t-SNE of %s: %d rows are too few for perplexity %g: %.3g instead", panel, rows, wanted, fitting)
    return fitting


def project(vectors: Array, perplexity: float, params: TsneParams) -> NDArray[np.float64]:
    """Return the places [n, 2] of vectors [n, D], which `objection` has nothing against."""
    with threadpool_limits(limits=1):  # several threads add up in an order of their own
        tsne = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=params.seed)
        return np.asarray(tsne.fit_transform(vectors), dtype=np.float64)


def separation(vectors: Array, classes: NDArray[np.int64]) -> float | None:
    """Return the mean silhouette [-1, 1] of vectors [n, D] by class [n], Euclidean.

    None with a single class, or where no two rows share one.
    """
    if not 1 < len(np.unique(classes)) < len(classes):
        return None
    with threadpool_limits(limits=1):
        return float(silhouette_score(vectors, classes))
