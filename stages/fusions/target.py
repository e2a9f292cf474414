"""The scale of a regression's target, learned on train: networks fit numbers near 1, whatever the unit is."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from safetensors.numpy import load_file

from stages.heads.model import Rows, Scores
from stages.tensors import save_tensors

_FILE = "target.safetensors"


class TargetScale:
    """Takes targets [n, 1] to zero mean and unit deviation on train, and predictions back.

    Without it a price in cents would need other learning rates than the same price in thousands, and a network that
    starts at 0 would spend its epochs on the way to the mean.
    """

    def __init__(self) -> None:
        self.mean, self.deviation = np.float32(0.0), np.float32(1.0)

    def fit(self, train: Rows) -> Self:
        """Learn mean and deviation; equal targets keep deviation 1."""
        targets = train.y.astype(np.float64)
        deviation = np.float32(targets.std())
        self.mean = np.float32(targets.mean())
        self.deviation = deviation if deviation > 0 else np.float32(1.0)
        return self

    def scaled(self, rows: Rows) -> Rows:
        """Return the rows with their targets scaled."""
        return Rows(rows.x, ((rows.y - self.mean) / self.deviation).astype(np.float32))

    def unscaled(self, values: Scores) -> Scores:
        """Return predictions [n, 1] in the unit of the targets."""
        return (values * self.deviation + self.mean).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `target.safetensors`."""
        save_tensors({"mean": np.array([self.mean]), "deviation": np.array([self.deviation])}, folder / _FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        saved = load_file(folder / _FILE)
        self.mean, self.deviation = saved["mean"][0], saved["deviation"][0]
        return self
