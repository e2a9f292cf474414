"""How several modalities travel as one array: blocks side by side, then a presence column each; all fusions read it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from stages.contract import Scale
from stages.errors import RunError
from stages.heads.model import Array
from store import Matrix

_FILE = "scaler.safetensors"
_LOG = logging.getLogger("diptych.fusions")


def gather(matrices: Sequence[Matrix], rows: NDArray[np.int64]) -> Array:
    """Return the joined features of some rows.

    Parameters
    ----------
    matrices : sequence of Matrix
        M dataset-aligned matrices of widths D_1..D_M.
    rows : ndarray of int64, [n]
        Manifest rows.

    Returns
    -------
    ndarray of float32, [n, D_1 + ... + D_M + M]
        The blocks in order, then for each block 1.0 where the row has it and 0.0 where it carries the missing vector.
    """
    parts = [np.asarray(matrix.rows(rows), dtype=np.float32) for matrix in matrices]
    present = np.stack([matrix.usable[rows] for matrix in matrices], axis=1).astype(np.float32)
    return np.concatenate([*parts, present], axis=1)


def split_blocks(x: Any, widths: Sequence[int]) -> tuple[list[Any], Any]:
    """Cut joined features (numpy or torch, [n, sum + M]) into blocks [n, D_m] and presence [n, M].

    Raises
    ------
    RunError
        When the width is not the sum of the widths and their number.
    """
    expected = sum(widths) + len(widths)
    if x.shape[1] != expected:
        raise RunError(f"fusion: expected {expected} columns for blocks of {list(widths)}; found {x.shape[1]}.")
    edges = np.cumsum([0, *widths])
    return [x[:, a:b] for a, b in pairwise(edges)], x[:, edges[-1] :]


class BlockScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Scale each block by itself; presence columns pass unchanged.

    Parameters
    ----------
    widths : sequence of int
        Widths D_m of the blocks.
    scale : {"none", "standard", "l2"}
        Nothing; zero mean and unit variance over the fitted rows that have the block; unit Euclidean norm per row.
    """

    def __init__(self, widths: Sequence[int], scale: Scale = "none") -> None:
        self.widths = widths
        self.scale = scale

    def fit(self, x: Array, y: Any = None) -> Self:  # noqa: ARG002 (scikit-learn's signature)
        """Learn mean and deviation per column from the rows of `x` [n, sum + M]: train rows only."""
        blocks, present = split_blocks(x, self.widths)
        means, deviations = [], []
        for number, block in enumerate(blocks):
            rows = block[present[:, number] > 0]
            known = self.scale == "standard" and len(rows) > 0
            if self.scale == "standard" and not known:
                _LOG.warning("scale: none of %d train rows has input %d: it stays as it is", len(x), number + 1)
            means.append(rows.mean(axis=0, dtype=np.float64) if known else np.zeros(block.shape[1]))
            deviations.append(rows.std(axis=0, dtype=np.float64) if known else np.ones(block.shape[1]))
        self.mean_ = np.concatenate(means).astype(np.float32)
        spread = np.concatenate(deviations)
        # A constant column carries nothing; dividing by its rounding noise would make it explode.
        self.deviation_ = np.where(spread > 1e-8, spread, 1.0).astype(np.float32)
        return self

    def transform(self, x: Array) -> Array:
        """Return `x` [n, sum + M] with its blocks scaled."""
        check_is_fitted(self, "mean_")
        blocks, present = split_blocks(x, self.widths)
        if self.scale == "l2":
            blocks = [block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12) for block in blocks]
        joined = np.concatenate(blocks, axis=1)
        return np.concatenate([(joined - self.mean_) / self.deviation_, present], axis=1)

    def save(self, folder: Path) -> None:
        """Write `scaler.safetensors`."""
        save_file({"mean": self.mean_, "deviation": self.deviation_}, folder / _FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_file(folder / _FILE)
        self.mean_, self.deviation_ = saved["mean"], saved["deviation"]
        return self


class ConcatFusion(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """`none` and `concat`: the blocks side by side, [n, sum of widths]; systems.md 4.1 and 4.2.

    Parameters
    ----------
    widths : sequence of int
        Widths D_m of the blocks; a single one makes it the identity.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = widths

    def fit(self, x: Array, y: Any = None) -> Self:  # noqa: ARG002 (nothing to learn)
        """Learn nothing."""
        return self

    def transform(self, x: Array) -> Array:
        """Return the blocks of `x` [n, sum + M] without the presence columns."""
        blocks, _ = split_blocks(x, self.widths)
        return np.concatenate(blocks, axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        """Say that there is nothing to fit."""
        return True
