"""A trained experiment on a text `t` and a picture `v`, evaluated with the test of missing inputs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.checkpoints import TrainingSettings
from stages.contract import SilentProgress, Task
from stages.evaluate.conditions import Fields, TrainedInputs
from stages.evaluate.params import EvaluateParams
from stages.evaluate.run import EvaluateInputs, EvaluateOutputs, EvaluateSettings, run
from stages.experiment import Data, ExperimentInputs, read_data
from stages.train import run as train
from stages.train.params import TrainParams

TRAINED_PARTS = (["train"] * 6 + ["dev"] * 2 + ["test"] * 2) * 16
NETWORK = {"epochs": 3, "batch": 32}
SYSTEMS: dict[str, dict[str, Any]] = {
    "mlp": {"fusion": "concat", "head": "mlp", "hidden": [8], "scale": "standard", **NETWORK},
    "forest": {"fusion": "concat", "head": "forest", "trees": 5},
    "knn": {"fusion": "concat", "head": "knn", "neighbours": 3},
    "late": {"fusion": "late", "head": "mlp", "hidden": [8], **NETWORK},
    "attention": {"fusion": "attention", "head": "native", "width": 8, "hidden": [8], **NETWORK},
    "towers": {"fusion": "towers", "head": "native", "width": 8, "monitor": "loss", **NETWORK},
}
MISSING = {"classes": 2, "seed": 0}


@dataclass
class Experiment:
    """What a test may change before it trains, and between training and evaluation."""

    dataset: Any
    task: Task
    blocks: Sequence[np.ndarray]
    targets: np.ndarray
    usable: Sequence[np.ndarray | None] = (None, None)
    fields: tuple[Fields, ...] = (("caption",), ("image",))
    features: tuple[str, ...] = ("t", "v")
    matrices: tuple[Path, ...] = field(default=(), init=False)

    @property
    def root(self) -> Path:
        root: Path = self.dataset.root
        return root

    @property
    def inputs(self) -> ExperimentInputs:
        return ExperimentInputs(self.dataset.manifest, self.dataset.split, self.matrices)

    @property
    def outputs(self) -> train.TrainOutputs:
        return train.TrainOutputs(self.root / "model" / "x", self.root / "x.parquet", self.root / "x.history.csv")

    @property
    def trained(self) -> TrainedInputs:
        return TrainedInputs(self.outputs.model, self.features, self.matrices, (), self.fields)

    def train(self, system: str = "mlp", **params: Any) -> None:
        self.dataset.write(self.task, self.targets, TRAINED_PARTS)
        self.matrices = tuple(
            self.dataset.matrix(name, block, usable=usable, missing=0.25)
            for name, block, usable in zip(self.features, self.blocks, self.usable, strict=True)
        )
        asked = TrainParams(**{"features": list(self.features), **SYSTEMS[system], **params})
        train.run(asked, self.inputs, self.outputs, TrainingSettings("cpu"), SilentProgress())

    def data(self, fusion: str) -> Data:
        return read_data(self.inputs, fusion)

    def evaluate(self, trained: TrainedInputs | None = None, **params: Any) -> dict[str, Any]:
        asked = EvaluateParams(**{"missing": MISSING, **params})
        inputs = EvaluateInputs(
            self.dataset.manifest, self.dataset.split, self.outputs.predictions, trained or self.trained
        )
        outputs = EvaluateOutputs(self.root / "metrics" / "x.json", self.root / "tables" / "x")
        return run(asked, inputs, outputs, EvaluateSettings("cpu"), SilentProgress())

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a table."""
        with (self.root / "tables" / "x" / name).open(newline="") as stream:
            return list(csv.DictReader(stream))

    def outcomes(self) -> dict[tuple[str, str], dict[str, str]]:
        """Return the rows of missing.csv by condition and scope."""
        return {(row["condition"], row["scope"]): row for row in self.table("missing.csv")}

    def fused(self) -> TrainedInputs:
        return replace(self.trained, fields=(("caption",), ()))
