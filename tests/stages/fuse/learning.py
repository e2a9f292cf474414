"""The smallest fusion that learns by epochs: a random walk, which any difference would lead astray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.numpy import load_file, save_file

from stages.contract import Tracker
from stages.models.catalog import Options
from stages.models.features.layout import split_blocks
from stages.models.features.transformer import FusionTransformer
from stages.models.fusions.row import FusionRow, transformer
from stages.models.heads.model import Array, dense
from stages.models.training.checkpoints import Tensors
from stages.models.training.epochs import UNWATCHED, Schedule, Watch, run_epochs

EPOCHS = 5


class WalkOptions(Options):
    width: int = 3


class _Walk:
    def __init__(self, rows: Array, seed: int, width: int) -> None:
        self.rows, self.seed = rows, seed
        self.weights_now = np.zeros((rows.shape[1], width), np.float32)

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        rng = np.random.default_rng([self.seed, number])
        self.weights_now += self.rows.mean(0)[:, None] * rng.normal(size=self.weights_now.shape).astype(np.float32)
        tracker.advance(len(self.rows))
        return float(np.abs(self.weights_now).mean()), math.nan

    def state(self) -> Tensors:
        return {"weights": self.weights_now}

    def restore(self, tensors: Tensors) -> None:
        self.weights_now = np.array(tensors["weights"])

    def weights(self) -> Tensors:
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Nothing: the last epoch counts."""


class WalkFusion(FusionTransformer):
    def __init__(self, layout: Sequence[Any] | None = None, width: int = 3, seed: int = 0) -> None:
        super().__init__(layout)
        self.width, self.seed = width, seed

    def fit(self, x: Any, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002
        rows = np.concatenate(split_blocks(dense(self._learnable(x)), self.layout or ())[0], axis=1)
        training = _Walk(rows, self.seed, self.width)
        run_epochs(watch, training, Schedule(EPOCHS, len(rows)))
        self.weights_ = training.weights_now
        return self

    def transform(self, x: Array) -> Array:
        joined: Array = np.concatenate(split_blocks(self._transformable(x), self.layout or ())[0], axis=1)
        return joined @ self.weights_

    def save(self, folder: Path) -> None:
        save_file({"weights": self.weights_}, folder / "walk.safetensors")

    def restore(self, folder: Path) -> Self:
        self.weights_ = load_file(folder / "walk.safetensors")["weights"]
        return self._restored()


WALK = FusionRow(
    "walk", "vectors", (1, None), WalkOptions, "this test", transformer(lambda: WalkFusion), learns=True
)  # fmt: skip
