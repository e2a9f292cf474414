"""A small data set on disk, and problems that can be learnt: what the tests of the stages after `embed` start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from store import MatrixBlock, MatrixHeader, write_matrix
from store.items.records import Item, ManifestInfo, Task, write_manifest
from store.items.split import write_split


@dataclass(frozen=True)
class DataSet:
    """Items i000, i001, ... with a manifest, a split and as many matrices as a test asks for."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.parquet"

    @property
    def split(self) -> Path:
        return self.root / "split.parquet"

    def write(self, task: Task, targets: np.ndarray, parts: Sequence[str], classes: Sequence[str] = ()) -> None:
        """Write manifest and split; NaN in `targets` (-1 for multiclass) leaves an item unlabelled."""
        names = tuple(classes) or tuple(f"c{k}" for k in range(_width(task, targets)))
        ids = self.ids(len(targets))
        rows = [Item(name, None, {}, *_target(task, row, names), name) for name, row in zip(ids, targets, strict=True)]
        info = ManifestInfo("table", ".", task, names, {name: name.upper() for name in names}, ())
        write_manifest(self.manifest, info, [(item, None) for item in rows])
        write_split(self.split, ids, parts, {})

    def ids(self, count: int) -> list[str]:
        return [f"i{row:03}" for row in range(count)]

    def matrix(
        self,
        name: str,
        vectors: np.ndarray,
        *,
        usable: np.ndarray | None = None,
        missing: float = 0.0,
        ids: Sequence[str] | None = None,
    ) -> Path:
        """Write one matrix; rows that are not usable carry the constant `missing`."""
        count, dim = vectors.shape
        known = np.ones(count, np.bool_) if usable is None else usable
        header = MatrixHeader(ids or self.ids(count), dim, "float32", np.full(dim, missing, np.float32), {})
        path = self.root / f"{name}.zarr.zip"
        write_matrix(path, header, [MatrixBlock(vectors.astype(np.float32), known, known)], durability="none")
        return path


def _width(task: Task, targets: np.ndarray) -> int:
    if task == "regression":
        return 0
    return targets.shape[1] if task == "multilabel" else int(targets.max()) + 1


def _target(task: Task, row: np.ndarray, names: Sequence[str]) -> tuple[tuple[str, ...] | None, float | None]:
    if task == "regression":
        return None, None if np.isnan(row) else float(row)
    if task == "multiclass":
        return None if row < 0 else (names[int(row)],), None
    return None if np.isnan(row).any() else tuple(names[k] for k in np.flatnonzero(row)), None


@pytest.fixture
def dataset(tmp_path: Path) -> DataSet:
    return DataSet(tmp_path)


@dataclass(frozen=True)
class Toy:
    """Two blocks of features, neither of which tells all, and what `heads` calls y for a task."""

    blocks: tuple[np.ndarray, np.ndarray]
    y: np.ndarray
    outputs: int

    @property
    def joined(self) -> np.ndarray:
        """The blocks side by side and a presence column of ones each, as `fusions.blocks.gather` gives them."""
        ones = np.ones((len(self.y), len(self.blocks)), np.float32)
        return np.concatenate([*self.blocks, ones], axis=1).astype(np.float32)


@pytest.fixture(scope="session")
def make_toy() -> Callable[..., Toy]:
    def make(task: Task, count: int = 160, seed: int = 7) -> Toy:
        rng = np.random.default_rng(seed)
        left, right = rng.normal(size=(count, 5)).astype(np.float32), rng.normal(size=(count, 4)).astype(np.float32)
        signal = np.stack([left[:, 0] + right[:, 0], left[:, 1] - right[:, 1], right[:, 2] - left[:, 2]], axis=1)
        if task == "multilabel":
            return Toy((left, right), (signal > 0).astype(np.float32), 3)
        if task == "multiclass":
            return Toy((left, right), signal.argmax(axis=1).astype(np.int64), 3)
        return Toy((left, right), signal[:, :1].astype(np.float32), 1)

    return make
