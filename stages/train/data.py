"""Turn manifest, split and matrices into the rows that a model is fitted on; `run` takes them from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Task
from stages.errors import InputError
from stages.features import open_aligned
from stages.fusions.blocks import gather
from stages.heads.model import Rows
from stages.items import Manifest
from stages.parts import read_split
from store import Matrix


@dataclass(frozen=True)
class Data:
    """One experiment's data; features stay in the memory-mapped matrices until rows are asked for.

    Attributes
    ----------
    targets : ndarray
        multilabel: float32 [N, K]; multiclass: int64 [N]; regression: float32 [N, 1].
    parts : ndarray of str, [N]
    labelled : ndarray of bool, [N]
    """

    ids: list[str]
    task: Task
    classes: tuple[str, ...]
    matrices: Sequence[Matrix]
    targets: NDArray[Any]
    parts: NDArray[np.str_]
    labelled: NDArray[np.bool_]

    @property
    def outputs(self) -> int:
        """Number of scores per row: K classes, or 1."""
        return 1 if self.task == "regression" else len(self.classes)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each feature input."""
        return tuple(matrix.dim for matrix in self.matrices)

    def rows(self, part: str) -> Rows:
        """Return the labelled rows of a part: joined features [n, sum + M] and targets."""
        rows = np.flatnonzero((self.parts == part) & self.labelled)
        return Rows(gather(self.matrices, rows), self.targets[rows])


def read_data(manifest_path: Path, split: Path, matrices: Sequence[Path], digests: Sequence[str] = ()) -> Data:
    """Read everything but the features; `digests` are what the matrices' cards state.

    Raises
    ------
    InputError
        When files do not belong together, or no train row is labelled.
    """
    manifest = Manifest.open(manifest_path)
    ids, task = manifest.ids(), manifest.info.task
    parts, labelled = read_split(split, ids), manifest.labelled()
    if not np.any((parts == "train") & labelled):
        raise InputError(f"train: expected labelled train rows in {manifest_path}; found none; check the label column.")
    opened = open_aligned(matrices, ids, digests)
    return Data(ids, task, manifest.info.classes, opened, _targets(manifest), parts, labelled)


def _targets(manifest: Manifest) -> NDArray[Any]:
    if manifest.info.task == "multilabel":
        return manifest.label_matrix().astype(np.float32)
    if manifest.info.task == "multiclass":
        return np.asarray(manifest.class_index(), dtype=np.int64)
    return manifest.targets().astype(np.float32).reshape(-1, 1)
