"""Scale the inputs before every fusion, each by itself; what is learned is learned on train."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from stages.contract import Scale
from stages.fusions.base import FusionTransformer
from stages.fusions.layout import split_parts
from stages.heads.model import Array, Features, blocks_of
from stages.tensors import save_tensors

_FILE = "scaler.safetensors"
_LOG = logging.getLogger("diptych.fusions")


class Moments:
    """Mean and deviation of rows that come in blocks, by the update of Chan, Golub and LeVeque."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean, self._squares = np.zeros(width), np.zeros(width)

    def update(self, rows: NDArray[Any]) -> None:
        """Count in rows [n, D]."""
        if not len(rows):
            return
        mean = rows.mean(axis=0, dtype=np.float64)
        total = self.count + len(rows)
        step = mean - self.mean
        self._squares += ((rows - mean) ** 2).sum(axis=0) + step**2 * (self.count * len(rows) / total)
        self.mean += step * (len(rows) / total)
        self.count = total

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The population deviation [D] of what was counted in."""
        return np.sqrt(self._squares / max(1, self.count))


class BlockScaler(FusionTransformer):
    """Scale the vector of each input by itself; arrays beside it and presence columns pass unchanged.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The inputs; see `as_layout`. None takes all columns for one input that every row has.
    scale : {"none", "standard", "l2"}
        Nothing; zero mean and unit variance over the fitted rows that have the input; unit Euclidean norm per row.
    """

    def __init__(self, layout: Sequence[Any] | None = None, scale: Scale = "none") -> None:
        super().__init__(layout)
        self.scale = scale

    def fit(self, x: Features, y: Any = None) -> Self:  # noqa: ARG002 (scikit-learn's signature)
        """Learn mean and deviation per column from the rows of `x` [n, columns]: train rows only."""
        x = self._learnable(x)
        layout = self.inputs
        widths = [x.shape[1]] if layout is None else [block.width for block in layout]
        moments = [Moments(width) for width in widths]
        if self.scale == "standard":
            for block in blocks_of(x):
                for each, part in zip(moments, split_parts(block, layout), strict=True):
                    each.update(part.vector[part.present > 0] if layout is not None else part.vector)
            for number, each in enumerate(moments):
                if not each.count:
                    _LOG.warning("scale: none of %d train rows has input %d: it stays as it is", len(x), number + 1)
        self.mean_ = np.concatenate([each.mean for each in moments]).astype(np.float32)
        # A constant column carries nothing; dividing by its rounding noise would make it explode.
        spread = np.concatenate([each.deviation for each in moments])
        self.deviation_ = np.where(spread > 1e-8, spread, 1.0).astype(np.float32)
        return self

    def transform(self, x: Array) -> Array:
        """Return `x` [n, columns] with its vectors scaled."""
        return np.array(self.scaled(self._transformable(x)))

    def scaled(self, x: Array) -> Array:
        """Do as `transform` with rows of a table, which need no checks; `x` itself where nothing is scaled."""
        if self.scale == "none":
            return x
        scaled, start = np.array(x), 0
        for part in split_parts(scaled, self.inputs):
            vector, stop = part.vector, start + part.vector.shape[1]
            if self.scale == "l2":
                vector /= np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-12)
            else:
                vector -= self.mean_[start:stop]
                vector /= self.deviation_[start:stop]
            start = stop
        return scaled

    def save(self, folder: Path) -> None:
        """Write `scaler.safetensors`."""
        save_tensors({"mean": self.mean_, "deviation": self.deviation_}, folder / _FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_file(folder / _FILE)
        self.mean_, self.deviation_ = saved["mean"], saved["deviation"]
        return self._restored()
