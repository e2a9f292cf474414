"""Principal components with a fixed sign, fitted block by block: `reduce` projects with them, and so may a fusion."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from store.errors import InputError
from store.files.tensors import save_tensors

FILE = "pca.safetensors"
WIDEST = 8192
"""Dimensions whose scatter matrix (512 MiB) is still kept; wider rows are few, and fitted in memory."""
SAMPLE = 1024
"""The first rows from which `Scatter` takes its origin; so many are taken to double precision at once."""
_LEAST_SHARE = 1e-6  # of the largest deviation: below the precision of float32 features there is only noise
_LOG = logging.getLogger("diptych.fusions")
Array = NDArray[Any]


class Scatter:
    """Mean and scatter matrix of rows that come in blocks, in double precision and D x D memory.

    All is measured from a point among the first rows, so that the sums that are subtracted at the end are small against
    the scatter; equal rows have a scatter of exactly zero. One product per block gives the scatter and, by a column
    of ones, the sums.

    Parameters
    ----------
    sample : ndarray, [n, D]
        Some of the first rows; equal ones give equal origins, whose scatters can be added.
    """

    def __init__(self, sample: Array) -> None:
        rows = sample[:SAMPLE].astype(np.float64)
        # A column that does not vary is measured from its value, not from a mean that may be a rounding away from it.
        self._origin = np.where(rows.min(axis=0) == rows.max(axis=0), rows[0], rows.mean(axis=0))
        self.count, self._width = 0, rows.shape[1]
        self._products = np.zeros((self._width + 1, self._width + 1), order="F")
        self._buffer = np.ones((SAMPLE, self._width + 1))

    def update(self, block: Array) -> None:
        """Take in rows [n, D]."""
        for start in range(0, len(block), SAMPLE):
            part = block[start : start + SAMPLE]
            np.subtract(part, self._origin, out=self._buffer[: len(part), :-1])
            rows = self._buffer[: len(part)].T
            self._products = dsyrk(1.0, rows, beta=1.0, c=self._products, overwrite_c=True)
            self.count += len(part)

    @property
    def products(self) -> NDArray[np.float64]:
        """Sums of products of the columns, a column of ones behind them: [D + 1, D + 1], the upper triangle of it."""
        return self._products

    def add(self, products: Array, count: int) -> None:
        """Take in the products of `count` other rows, measured from the same origin."""
        self._products += products
        self.count += count

    @property
    def _shift(self) -> NDArray[np.float64]:
        return np.asarray(self._products[:-1, -1] / self.count)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean [D] of the rows."""
        return np.asarray(self._origin + self._shift)

    def matrix(self) -> NDArray[np.float64]:
        """Return the sum of (x - mean)(x - mean)^T [D, D], in Fortran's order; only its upper triangle counts."""
        shift = self._shift
        matrix = np.asfortranarray(self._products[:-1, :-1])
        return np.asarray(dsyrk(-float(self.count), shift[:, None], beta=1.0, c=matrix))


class PcaProjection(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """x -> (x - mean) P^T / scale: the first principal axes P of the train rows.

    Parameters
    ----------
    n_components : int
        Dimensions kept; at most min(n, D).
    whiten : bool
        Divide each coordinate by its deviation on train; axes along which train does not vary are left alone.

    Attributes
    ----------
    mean_ : ndarray of float32, [D]
    components_ : ndarray of float32, [C, D]
        Orthonormal rows, the entry of largest absolute value positive in each; zeros when train does not vary.
    scale_ : ndarray of float32, [C]
        Ones, or the deviations on train when whitening.
    explained_variance_ratio_ : ndarray of float32, [C]
        Share of the train variance per component.
    n_components_ : int

    Source: docs/systems/fusions.md#pca.
    """

    def __init__(self, n_components: int = 3, whiten: bool = False) -> None:
        self.n_components = n_components
        self.whiten = whiten

    def fit(self, x: Array, y: Any = None) -> Self:  # noqa: ARG002 (scikit-learn's signature)
        """Fit on train rows [n, D]; the errors are those of `fit_blocks`."""
        rows = validate_data(self, x, dtype=[np.float64, np.float32, np.float16])
        return self.fit_blocks([rows])

    def fit_blocks(self, blocks: Iterable[Array]) -> Self:
        """Fit on train rows that come in blocks [n_b, D], of which one is held at a time.

        Rows that are all equal have no principal axes: a warning is logged and every row projects to zero. Rows wider
        than 8192 are collected and fitted in memory.

        Raises
        ------
        InputError
            When there are no rows, a value is not finite, or more components are asked for than min(n, D).
        """
        filled = (block for block in blocks if len(block))
        block = next(filled, None)
        if block is None:
            raise InputError("pca: expected train rows; found none; check the split and the field's texts.")
        every = chain([block], filled)
        if block.shape[1] > WIDEST:
            return self._fit_in_memory(np.concatenate([each.astype(np.float64) for each in every]))
        scatter = Scatter(block)
        for each in every:
            scatter.update(each)
        return self.fit_scatter(scatter)

    def fit_scatter(self, scatter: Scatter) -> Self:
        """Fit on rows that are summed already; the errors are those of `fit_blocks`."""
        matrix, mean = scatter.matrix(), scatter.mean
        count, width = scatter.count, len(mean)
        self._check(count, width)
        total = float(np.trace(matrix))
        if not np.isfinite(total):
            raise InputError("pca: expected finite train rows; found NaN or infinity; embed the items again.")
        if total <= 0:
            return self._fit_equal(mean, count)
        wanted = (width - self.n_components, width - 1)
        values, vectors = eigh(matrix, lower=False, subset_by_index=wanted, overwrite_a=True, check_finite=False)
        variances = np.maximum(values[::-1], 0.0) / (count - 1)
        return self._keep(mean, _turned(vectors[:, ::-1].T), variances, variances * (count - 1) / total)

    def _fit_in_memory(self, rows: Array) -> Self:
        self._check(*rows.shape)
        if np.all(rows == rows[0]):
            return self._fit_equal(rows[0], len(rows))
        pca = PCA(n_components=self.n_components, svd_solver="full").fit(rows)
        return self._keep(pca.mean_, _turned(pca.components_), pca.explained_variance_, pca.explained_variance_ratio_)

    def _check(self, count: int, width: int) -> None:
        most = min(count, width)
        if not 1 <= self.n_components <= most:
            raise InputError(
                f"pca: expected at least 1 and at most {most} components (the smaller of {count} train rows and "
                f"{width} dimensions); found {self.n_components}; "
                f"{'lower' if self.n_components > most else 'raise'} `components`."
            )

    def _fit_equal(self, mean: Array, count: int) -> Self:
        _LOG.warning("pca: the %d train rows are all equal: every coordinate is 0", count)
        nothing = np.zeros(self.n_components)
        return self._keep(mean, np.zeros((self.n_components, len(mean))), nothing, nothing)

    def _keep(self, mean: Array, axes: Array, variances: Array, explained: Array) -> Self:
        deviations = np.sqrt(variances)
        # Axes along which train does not vary (n centred rows span n - 1 at most) would divide by rounding noise.
        varies = deviations > _LEAST_SHARE * deviations[0]
        scale = np.where(varies, deviations, 1.0) if self.whiten else np.ones(len(axes))
        fitted = {"mean": mean, "components": axes, "scale": scale, "explained": explained}
        return self._set({name: value.astype(np.float32, order="C") for name, value in fitted.items()})

    def _set(self, fitted: dict[str, Array]) -> Self:
        self.mean_, self.components_, self.scale_ = (fitted[name] for name in ("mean", "components", "scale"))
        self.explained_variance_ratio_ = fitted["explained"]
        self.n_components_, self.n_features_in_ = self.components_.shape
        return self

    def transform(self, x: Array) -> NDArray[np.float32]:
        """Return the coordinates [n, C] of rows [n, D]; rows do not influence each other."""
        check_is_fitted(self, "components_")
        rows = validate_data(self, x, dtype=np.float64, reset=False)
        return np.asarray((rows - self.mean_) @ self.components_.T / self.scale_, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write `pca.safetensors` into an existing folder."""
        fitted = {
            "mean": self.mean_,
            "components": self.components_,
            "scale": self.scale_,
            "explained": self.explained_variance_ratio_,
        }
        save_tensors(fitted, folder / FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return self._set(load_file(folder / FILE))

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # the type of every matrix that is written
        return tags


def _turned(axes: Array) -> Array:
    """Turn each axis so that its entry of largest absolute value is positive, whatever LAPACK found."""
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return axes * np.where(largest < 0, -1.0, 1.0)[:, None]
