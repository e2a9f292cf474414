"""Rows of a training in batches, each read at once from wherever the rows lie; `network_training` iterates them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from stages.models.heads.model import LabelledRows, training_batch


class RowDataset(Dataset[Any]):
    """Rows as a torch data set that gives whole batches; `rng` is what rows of a training draw from, if they vary."""

    def __init__(self, rows: LabelledRows, rng: np.random.Generator | None = None) -> None:
        self.rows, self.rng = rows, rng

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        given = self.rows.x[index] if self.rng is None else training_batch(self.rows.x, index, self.rng)
        return torch.from_numpy(np.asarray(given, dtype=np.float32)), torch.from_numpy(
            np.ascontiguousarray(self.rows.y[index])
        )


class Batches:
    """Iterates a `RowDataset` batch by batch: one gather each, where torch's own loader would fetch row by row.

    Parameters
    ----------
    dataset : RowDataset
    batch_size : int
    shuffle : bool
        Another order each time.
    draws : int, optional
        So many rows drawn with replacement, instead of each row once.
    drop_single : bool
        Leave out a last batch of a single row, which has no variance to normalise by.
    """

    def __init__(
        self,
        dataset: RowDataset,
        batch_size: int,
        *,
        shuffle: bool = False,
        draws: int | None = None,
        drop_single: bool = False,
    ) -> None:
        self.dataset, self.batch_size, self.shuffle, self.draws = dataset, batch_size, shuffle, draws
        count = len(dataset) if draws is None else draws
        self._stop = count - 1 if drop_single and count % batch_size == 1 else count

    def __len__(self) -> int:
        return math.ceil(self._stop / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = self._order()[: self._stop]
        starts = range(0, self._stop, self.batch_size)
        wanted = (order[start : start + self.batch_size] for start in starts)
        if isinstance(self.dataset.rows.x, np.ndarray):
            yield from map(self.dataset.__getitem__, wanted)
        else:
            yield from _one_ahead(self.dataset, wanted)

    def _order(self) -> NDArray[np.int64]:
        if self.draws is not None:
            return torch.randint(len(self.dataset), (self.draws,)).numpy()
        return torch.randperm(len(self.dataset)).numpy() if self.shuffle else np.arange(len(self.dataset))


def _one_ahead(dataset: RowDataset, wanted: Iterator[NDArray[np.int64]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Read each batch from its files while the one before is computed on; in one thread, so draws keep their order."""
    with ThreadPoolExecutor(1) as reader:
        ahead = None
        for rows in wanted:
            ready, ahead = ahead, reader.submit(dataset.__getitem__, rows)
            if ready is not None:
                yield ready.result()
        if ahead is not None:
            yield ahead.result()
