"""Some inputs of a row are taken away in training, as if never there; docs/systems/fusions.md#modality-dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.fusions.layout import Layout
from stages.heads.model import Array, Features, training_batch


class DroppingTable:
    """A table whose rows lose inputs when they are read for training, and only then.

    Parameters
    ----------
    table : Features
        Joined features [n, columns].
    layout : Layout
    missing : ndarray, [columns]
        A row without any input: what stands in for one that is taken away.
    share : float
        The probability with which each input that a row has is taken away.
    """

    def __init__(self, table: Features, layout: Layout, missing: Array, share: float) -> None:
        self.table, self.layout, self.missing, self.share = table, layout, missing, share
        self.shape = table.shape

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Any) -> Array:
        return self.table[rows]

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Return rows [m, columns] of which each kept at least one of its inputs."""
        x = np.array(training_batch(self.table, rows, rng))
        present = x[:, -len(self.layout) :] > 0
        dropped = _dropped(present, self.share, rng)
        start = 0
        for number, block in enumerate(self.layout):
            stop = start + block.columns
            x[dropped[:, number], start:stop] = self.missing[start:stop]
            start = stop
        x[:, -len(self.layout) :][dropped] = 0
        return x


def _dropped(present: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose what is taken away of inputs [n, M]; a row that would lose all keeps one of them, each as likely."""
    dropped: NDArray[np.bool_] = present & (rng.random(present.shape) < share)
    kept = np.where(present, rng.random(present.shape), -1.0).argmax(axis=1)
    bare = np.flatnonzero((dropped == present).all(axis=1))
    dropped[bare, kept[bare]] = False
    return dropped
