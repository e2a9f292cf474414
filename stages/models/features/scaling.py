"""Scale inputs and targets before every fusion; what is learned is learned on train."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from stages.contract import Scale
from stages.models.features.layout import split_inputs
from stages.models.features.transformer import FusionTransformer
from stages.models.heads.model import Array, Features, LabelledRows, Scores, blocks_of
from store.files.tensors import save_tensors

_SCALER_FILE = "scaler.safetensors"
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
                for each, part in zip(moments, split_inputs(block, layout), strict=True):
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
        for part in split_inputs(scaled, self.inputs):
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
        save_tensors({"mean": self.mean_, "deviation": self.deviation_}, folder / _SCALER_FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_file(folder / _SCALER_FILE)
        self.mean_, self.deviation_ = saved["mean"], saved["deviation"]
        return self._restored()


_TARGET_FILE = "target.safetensors"


class TargetScale:
    """Takes targets [n, 1] to zero mean and unit deviation on train, and predictions back.

    Without it a price in cents would need other learning rates than the same price in thousands, and a network that
    starts at 0 would spend its epochs on the way to the mean.
    """

    def __init__(self) -> None:
        self.mean, self.deviation = np.float32(0.0), np.float32(1.0)

    def fit(self, train: LabelledRows) -> Self:
        """Learn mean and deviation; equal targets keep deviation 1."""
        targets = train.y.astype(np.float64)
        deviation = np.float32(targets.std())
        self.mean = np.float32(targets.mean())
        self.deviation = deviation if deviation > 0 else np.float32(1.0)
        return self

    def scaled(self, rows: LabelledRows) -> LabelledRows:
        """Return the rows with their targets scaled."""
        return LabelledRows(rows.x, ((rows.y - self.mean) / self.deviation).astype(np.float32))

    def unscaled(self, values: Scores) -> Scores:
        """Return predictions [n, 1] in the unit of the targets."""
        return (values * self.deviation + self.mean).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `target.safetensors`."""
        save_tensors({"mean": np.array([self.mean]), "deviation": np.array([self.deviation])}, folder / _TARGET_FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_file(folder / _TARGET_FILE)
        self.mean, self.deviation = saved["mean"][0], saved["deviation"][0]
        return self
