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
from stages.fusions.catalog import FUSIONS
from stages.fusions.layout import Layout
from stages.fusions.table import FeatureTable, layout_of
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
    layout: Layout
    targets: NDArray[Any]
    parts: NDArray[np.str_]
    labelled: NDArray[np.bool_]

    @property
    def outputs(self) -> int:
        """Number of scores per row: K classes, or 1."""
        return 1 if self.task == "regression" else len(self.classes)

    def rows(self, part: str) -> Rows:
        """Return the labelled rows of a part: joined features [n, columns], read when asked for, and targets."""
        rows = np.flatnonzero((self.parts == part) & self.labelled)
        return Rows(self.features(rows), self.targets[rows])

    def features(self, rows: NDArray[np.int64]) -> FeatureTable:
        """Return the joined features of manifest rows."""
        return FeatureTable(self.matrices, rows, self.layout)


@dataclass(frozen=True)
class TrainInputs:
    """What `train` reads: the matrices in the order of `TrainParams.features`, and their cards' digests."""

    manifest: Path
    split: Path
    matrices: tuple[Path, ...]
    digests: tuple[str, ...] = ()


def read_data(inputs: TrainInputs, fusion: str) -> Data:
    """Read everything but the features; the fusion decides which arrays beside the vectors are read.

    Raises
    ------
    InputError
        When files do not belong together, or no train row is labelled.
    """
    manifest = Manifest.open(inputs.manifest)
    ids, task = manifest.ids(), manifest.info.task
    parts, labelled = read_split(inputs.split, ids), manifest.labelled()
    if not np.any((parts == "train") & labelled):
        raise InputError(
            f"train: expected labelled train rows in {inputs.manifest}; found none; check the label column."
        )
    matrices = open_aligned(inputs.matrices, ids, inputs.digests)
    layout = layout_of(matrices, FUSIONS[fusion].needs, fusion)
    return Data(ids, task, manifest.info.classes, matrices, layout, _targets(manifest), parts, labelled)


def _targets(manifest: Manifest) -> NDArray[Any]:
    if manifest.info.task == "multilabel":
        return manifest.label_matrix().astype(np.float32)
    if manifest.info.task == "multiclass":
        return np.asarray(manifest.class_index(), dtype=np.int64)
    return manifest.targets().astype(np.float32).reshape(-1, 1)
