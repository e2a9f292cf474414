"""Queries that move towards the mean of their predicted category; docs/systems/fusions.md#category-queries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.artefact import ids_digest
from stages.models.heads.model import Array

Ints = NDArray[np.int64]
_EPSILON = 1e-8
_LOG = logging.getLogger("diptych.fusions")


def unit(vectors: Array) -> Array:
    """Return the vectors [n, D] at Euclidean length 1; a vector of zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Array = (vectors / np.maximum(lengths, _EPSILON)).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class Prototypes:
    """One prototype for each category that has train rows; `learn_prototypes` makes them.

    Attributes
    ----------
    categories : ndarray of int64, [P]
        Ascending.
    means : ndarray of float32, [P, D]
        Mean of the train rows of each, each row at length 1 before.
    digest : str
        `ids_digest` of the rows that were read.
    """

    categories: Ints
    means: Array
    digest: str

    def queries(self, vectors: Array, predicted: Ints, beta: float = 0.5) -> Array:
        """Return `q = z + beta p_c` of rows z at length 1; q = z, with a warning, where c has no prototype.

        Parameters
        ----------
        vectors : ndarray of float32, [n, D]
            Fused vectors of any length.
        predicted : ndarray of int64, [n]
            The category c predicted for each.
        beta : float
            With 0 a ranking by q is one by plain cosine.

        Returns
        -------
        ndarray of float32, [n, D]
        """
        asked = unit(vectors)
        known = np.isin(predicted, self.categories)
        if not known.all():
            _LOG.warning(
                "prototypes: %d of %d queries are of a category without train rows: they stay as they are",
                np.count_nonzero(~known), len(known),
            )  # fmt: skip
        asked[known] += np.float32(beta) * self.means[np.searchsorted(self.categories, predicted[known])]
        return asked


def learn_prototypes(ids: Sequence[str], vectors: Array, categories: Ints, parts: NDArray[np.str_]) -> Prototypes:
    """Return the prototypes of the rows of part "train"; no other row is read.

    Parameters
    ----------
    ids : sequence of str, length N
    vectors : ndarray of float32, [N, D]
        Fused vectors.
    categories : ndarray of int64, [N]
        True categories; a negative one stands for none.
    parts : ndarray of str, [N]
    """
    rows = np.flatnonzero((parts == "train") & (categories >= 0))
    found, of = np.unique(categories[rows], return_inverse=True)
    sums = np.zeros((len(found), vectors.shape[1]))
    np.add.at(sums, of, unit(vectors[rows]))
    means = sums / np.bincount(of, minlength=len(found))[:, None]
    return Prototypes(found, means.astype(np.float32), ids_digest(ids[row] for row in rows.tolist()))


def rank_within(queries: tuple[Array, Ints], gallery: tuple[Array, Ints], k: int) -> list[Ints]:
    """Rank for each query the gallery rows of its category by cosine.

    Parameters
    ----------
    queries, gallery : (ndarray of float32, ndarray of int64), [n, D] and [n]; [m, D] and [m]
        Vectors and (predicted) categories.
    k : int
        How many to keep at most.

    Returns
    -------
    list of ndarray of int64
        Row numbers of the gallery, the nearest first and equal ones in their order; fewer than k where the category
        has fewer rows.
    """
    asked, offered = unit(queries[0]), unit(gallery[0])
    ranked: list[Ints] = [np.zeros(0, dtype=np.int64)] * len(asked)
    for category in np.unique(queries[1]):
        rows = np.flatnonzero(gallery[1] == category)
        for query in np.flatnonzero(queries[1] == category):
            order = np.argsort(-(offered[rows] @ asked[query]), kind="stable")[:k]
            ranked[query] = rows[order]
    return ranked
