"""Principal components with a fixed sign, so that two machines write the same matrix; systems.md 4.3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA

from stages.errors import InputError

_FILE = "pca.safetensors"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """A fitted projection: x -> (x - mean) @ components.T / scale.

    Attributes
    ----------
    mean : ndarray of float32, [D]
    components : ndarray of float32, [C, D]
        Orthonormal rows, the entry of largest absolute value positive in each.
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
    pca = PCA(n_components=components, svd_solver="full").fit(rows.astype(np.float64))
    axes = pca.components_
    largest = axes[np.arange(components), np.abs(axes).argmax(axis=1)]
    axes = axes * np.where(largest < 0, -1.0, 1.0)[:, None]
    deviations = np.sqrt(pca.explained_variance_)
    scale = np.where(deviations > 1e-12, deviations, 1.0) if whiten else np.ones(components)
    explained = np.nan_to_num(pca.explained_variance_ratio_)  # 0 / 0 when the rows are all equal
    return Projection(*(each.astype(np.float32) for each in (pca.mean_, axes, scale, explained)))
