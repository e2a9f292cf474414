"""A whole experiment on files that a test may change before it trains, and the systems that are tried on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from stages.contract import Progress, SilentProgress
from stages.models.experiment import ExperimentInputs
from stages.models.training.checkpoints import TrainingSettings
from stages.train.params import TrainParams
from stages.train.run import TrainOutputs, run
from store.items.records import Task

PARTS = np.array((["train"] * 6 + ["dev"] * 2 + ["test"] * 2) * 16)
MLP = {"head": "mlp", "hidden": [8], "epochs": 3, "batch": 32}
SYSTEMS: dict[str, dict[str, Any]] = {
    "mlp": {"fusion": "concat", **MLP},
    "dnn": {"fusion": "concat", "head": "dnn", "epochs": 3},
    "linear": {"fusion": "concat", "head": "linear", "epochs": 3},
    "forest": {"fusion": "concat", "head": "forest", "trees": 5},
    "svm": {"fusion": "concat", "head": "svm"},
    "knn": {"fusion": "concat", "head": "knn"},
    "dummy": {"fusion": "concat", "head": "dummy"},
    "late": {"fusion": "late", **MLP},
    "late-forest": {"fusion": "late", "head": "forest", "trees": 5},
    "attention": {"fusion": "attention", "head": "native", "epochs": 3, "width": 8, "hidden": [8]},
}
EVERY = pytest.mark.parametrize("system", SYSTEMS)


@dataclass
class Case:
    """Two matrices and targets that a test may change before it trains."""

    dataset: Any
    task: Task
    blocks: list[np.ndarray]
    targets: np.ndarray
    parts: np.ndarray
    usable: tuple[Any, Any] = (None, None)
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> TrainOutputs:
        root = self.dataset.root
        return TrainOutputs(root / "models" / "x", root / "data" / "x.parquet", root / "data" / "x.history.csv")

    @property
    def inputs(self) -> ExperimentInputs:
        self.dataset.write(self.task, self.targets, list(self.parts), self.classes)
        paths = tuple(
            self.dataset.matrix(name, block, usable=usable)
            for name, block, usable in zip("tv", self.blocks, self.usable, strict=True)
        )
        return ExperimentInputs(self.dataset.manifest, self.dataset.split, paths)

    @property
    def states(self) -> Path:
        return self.dataset.root / "states"

    def train(self, progress: Progress | None = None, **params: Any) -> dict[str, int]:
        """Run `train`, saving its state after every epoch."""
        inputs = self.inputs
        settings = TrainParams(**{"features": ["t", "v"], "fusion": "concat", **params})
        if settings.fusion == "none":
            inputs = replace(inputs, matrices=inputs.matrices[:1])
        return run(
            settings, inputs, self.outputs, TrainingSettings("cpu", self.states, 0), progress or SilentProgress()
        )

    def written(self) -> dict[str, bytes]:
        """Read all that a run wrote, by name."""
        files = (self.outputs.predictions, self.outputs.history)
        return {**self.models(), **{path.name: path.read_bytes() for path in files}}

    def models(self) -> dict[str, bytes]:
        folder = self.outputs.model
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def scores(self, seed: int = 0) -> dict[str, list[float]]:
        table = pq.read_table(self.outputs.predictions).to_pylist()
        return {row["id"]: row["scores"] for row in table if row["seed"] == seed}
