"""Principal components with a fixed sign, so that two machines write the same matrix; systems.md 4.3."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA

from stages.errors import InputError

_FILE = "pca.safetensors"
_LEAST_SHARE = 1e-6  # of the largest deviation: below the precision of float32 features there is only noise
_LOG = logging.getLogger("diptych.reduce")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """A fitted projection: x -> (x - mean) @ components.T / scale.

    Attributes
    ----------
    mean : ndarray of float32, [D]
    components : ndarray of float32, [C, D]
        Orthonormal rows, the entry of largest absolute value positive in each; zeros when train does not vary.
    scale : ndarray of float32, [C]
        Ones, or the deviations on train when whitening.
    explained : ndarray of float32, [C]
        Share of the train variance per component.
    """

    mean: Array
    components: Array
    scale: Array
    explained: Array

    def __call__(self, x: Array) -> Array:
        """Return the coordinates [n, C] of rows [n, D]."""
        return ((x - self.mean) @ self.components.T / self.scale).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `pca.safetensors` into an existing folder."""
        tensors = {name: np.ascontiguousarray(value) for name, value in vars(self).items()}
        save_file(tensors, folder / _FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        return cls(**load_file(folder / _FILE))


def fit_projection(rows: Array, components: int, *, whiten: bool) -> Projection:
    """Fit on train rows [n, D] in double precision.

    Rows that are all equal have no principal axes: a warning is logged and every row projects to zero.

    Raises
    ------
    InputError
        When more components are asked for than min(n, D).
    """
    most = min(rows.shape)
    if components > most:
        raise InputError(
            f"reduce: expected at most {most} components (the smaller of {rows.shape[0]} train rows and "
            f"{rows.shape[1]} dimensions); found {components}; lower `components`."
        )
    if np.all(rows == rows[0]):
        _LOG.warning("reduce: the %d train rows are all equal: every coordinate is 0", len(rows))
        nothing, ones = np.zeros((components, rows.shape[1]), np.float32), np.ones(components, np.float32)
        return Projection(rows[0].astype(np.float32), nothing, ones, np.zeros(components, np.float32))
    # scikit-learn itself turns each axis so that its entry of largest absolute value is positive.
    pca = PCA(n_components=components, svd_solver="full").fit(rows.astype(np.float64))
    deviations = np.sqrt(pca.explained_variance_)
    # Axes along which train does not vary (n centred rows span n - 1 at most) would divide by rounding noise.
    varies = deviations > _LEAST_SHARE * deviations[0]
    scale = np.where(varies, deviations, 1.0) if whiten else np.ones(components)
    fitted = (pca.mean_, pca.components_, scale, pca.explained_variance_ratio_)
    return Projection(*(each.astype(np.float32, order="C") for each in fitted))  # laid out as `load` will give them
