"""Eight items and the predictions that a test makes for them, as `train` would leave them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.contract import SilentProgress, Task
from stages.evaluate.params import EvaluateParams
from stages.evaluate.run import EvaluateInputs, EvaluateOutputs, EvaluateSettings, run

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
        schema = pa.schema(
            [("seed", pa.int64()), ("id", pa.string()), ("part", pa.string()), ("scores", pa.list_(pa.float32()))],
            metadata={b"diptych": json.dumps({**about, **self.about}).encode()},
        )
        columns = [
            [seed for seed, _, _ in rows], [f"i{row:03}" for _, row, _ in rows],
            [shown[row] for _, row, _ in rows], [each for _, _, each in rows],
        ]  # fmt: skip
        arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), self.predictions)

    def evaluate(self, **params: Any) -> dict[str, Any]:
        inputs = EvaluateInputs(self.dataset.manifest, self.dataset.split, self.predictions)
        return run(EvaluateParams(**params), inputs, self.outputs, EvaluateSettings("cpu"), SilentProgress())

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
