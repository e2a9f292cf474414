"""Eight items and predictions that a test makes for them; an experiment trained on a text and a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.contract import SilentProgress
from stages.evaluate.params import EvaluateParams
from stages.evaluate.run import EvaluateInputs, EvaluateOutputs, EvaluateSettings, run
from stages.evaluate.trained.missing import Fields, TrainedInputs
from stages.models.experiment import Data, ExperimentInputs, read_data
from stages.models.training.checkpoints import TrainingSettings
from stages.train import run as train
from stages.train.params import TrainParams
from store.items.records import Task
from store.results.predictions import PredictionWriter
from tests.rules.cards import flat

PARTS = ["train", "train", "dev", "dev", "test", "test", "test", "test"]
LABELS = np.array(
    [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0], [np.nan] * 3], np.float64
)
CLASSES = ("bird", "cup", "sun")


@dataclass
class Case:
    """Eight items and their predictions, which a test may spoil before it evaluates them."""

    dataset: Any
    task: Task = "multilabel"
    targets: np.ndarray = field(default_factory=LABELS.copy)
    classes: tuple[str, ...] = CLASSES
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dataset.write(self.task, self.targets, PARTS, self.classes)

    @property
    def predictions(self) -> Path:
        return self.dataset.root / "predictions.parquet"

    @property
    def outputs(self) -> EvaluateOutputs:
        return EvaluateOutputs(self.dataset.root / "metrics" / "x.json", self.dataset.root / "tables" / "x")

    def predict(self, scores: dict[int, dict[int, list[float]]], parts: list[str] | None = None) -> None:
        """Write scores {seed: {row: scores}} as `train` does."""
        shown = parts or PARTS
        rows = [(seed, row, each) for seed, found in scores.items() for row, each in found.items()]
        about = {
            "task": self.task,
            "classes": list(self.classes),
            "features": ["t", "v"],
            "fusion": "late",
            "head": "mlp",
        }
        with PredictionWriter(self.predictions, {**about, **self.about}) as writer:
            for seed, row, each in rows:
                writer.write(seed, [f"i{row:03}"], np.array([shown[row]]), np.array([each], np.float32))

    def evaluate(self, **params: Any) -> dict[str, Any]:
        inputs = EvaluateInputs(self.dataset.manifest, self.dataset.split, self.predictions)
        return flat(run(EvaluateParams(**params), inputs, self.outputs, EvaluateSettings("cpu"), SilentProgress()))

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.outputs.tables / name).open(newline="") as stream:
            return list(csv.DictReader(stream))


RIGHT = {
    2: [0.9, 0.1, 0.1],
    3: [0.1, 0.9, 0.1],
    4: [0.9, 0.2, 0.1],
    5: [0.1, 0.8, 0.9],
    6: [0.7, 0.6, 0.0],
    7: [0, 0, 0],
}
HALF = {**RIGHT, 4: [0.2, 0.8, 0.1], 6: [0.7, 0.1, 0.0]}


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
        return flat(run(asked, inputs, outputs, EvaluateSettings("cpu"), SilentProgress()))

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a table."""
        with (self.root / "tables" / "x" / name).open(newline="") as stream:
            return list(csv.DictReader(stream))

    def outcomes(self) -> dict[tuple[str, str], dict[str, str]]:
        """Return the rows of missing.csv by condition and scope."""
        return {(row["condition"], row["scope"]): row for row in self.table("missing.csv")}

    def fused(self) -> TrainedInputs:
        return replace(self.trained, fields=(("caption",), ()))
