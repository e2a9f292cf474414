"""Builds small but whole run folders on disk, as `prepare` to `evaluate` would leave them: what the report reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from stages.report.inputs import ReportInputs, ReportOutputs
from store import image_key
from store.items.records import Item, ManifestInfo, Task, write_manifest
from store.items.split import write_split
from tests.rules.cards import write_card

CLASSES = ("animal bird", "food <script>alert(2)</script>", "tool", "weather", "plant", "sport")
CAPTION = "a bird and </p><script>alert(1)</script> & more"
METRICS: Mapping[Task, tuple[str, ...]] = {
    "multilabel": ("subset_accuracy", "label_accuracy", "hamming", "f1_macro", "f1_micro", "f1_samples", "f1_weighted"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "f1_micro", "f1_weighted", "top_5"),
    "regression": ("mse", "r2"),
}


@dataclass(frozen=True)
class System:
    """One experiment to write: name, features, fusion, head, value of the primary metric, deviation."""

    name: str
    features: str
    fusion: str
    head: str
    value: float
    deviation: float = 0.004


SYSTEMS = (
    System("attention", "caption-hash + image-colorhist", "attention", "mlp", 0.512, 0.006),
    System("concat-mlp", "caption-hash + image-colorhist", "concat", "mlp", 0.478),
    System("text-hash", "caption-hash", "none", "mlp", 0.401, 0.005),
    System("image-colorhist", "image-colorhist", "none", "mlp", 0.331, 0.009),
    System("dummy", "caption-hash", "none", "dummy", 0.021, 0.0),
)


@dataclass(frozen=True)
class RunFolder:
    """A folder with everything that one run leaves behind."""

    root: Path
    task: Task = "multilabel"
    items: int = 24
    classes: tuple[str, ...] = CLASSES
    captions: tuple[str, ...] = ()

    @property
    def inputs(self) -> ReportInputs:
        data = self.root / "data"
        manifest, split = data / "prepare" / "manifest.parquet", data / "split" / "split.parquet"
        metrics = self.root / "metrics"
        verbs = ("embed", "reduce", "fuse", "evaluate", "retrieve")
        entries = {verb: [path.stem for path in (metrics / verb).glob("*.json")] for verb in verbs}
        return ReportInputs(manifest, split, metrics, data, entries)

    @property
    def outputs(self) -> ReportOutputs:
        report = self.root / "report"
        return ReportOutputs(
            report / "index.html", report / "leaderboard.csv", report / "compare.md", report / "pairs.csv"
        )

    @property
    def ids(self) -> list[str]:
        return [f"item-{row:03}" for row in range(self.items)]

    @property
    def parts(self) -> np.ndarray:
        return np.array([("train", "test", "dev", "test")[row % 4] for row in range(self.items)])

    def write_data(self, *, images: bool = True, fields: tuple[str, ...] = ("caption",)) -> None:
        for folder in ("data/prepare", "data/split", "data/train", "data/evaluate", "data/retrieve", "pictures"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        classes = () if self.task == "regression" else self.classes
        info = ManifestInfo("scenes", str(self.root / "pictures"), self.task, classes, {}, fields)
        write_manifest(self.inputs.manifest, info, [self._item(row, images, fields) for row in range(self.items)])
        write_split(self.inputs.split, self.ids, list(self.parts), {})
        summary = {"rejected": {"duplicate id": 2, "unreadable image": 1}, "notes": ["ids are row numbers"]}
        (self.root / "data/prepare/summary.json").write_text(json.dumps(summary))
        (self.root / "data/split/summary.json").write_text(json.dumps({"seed": 0, "rows": {"train": 6, "test": 12}}))

    def _item(self, row: int, images: bool, fields: tuple[str, ...]) -> tuple[Item, bytes | None]:
        picture = self._picture(row) if images and row % 7 != 6 else None
        texts = {name: None if row % 5 == 4 else f"{name} of picture {row}" for name in fields}
        if fields and (row == 1 or self.captions):
            texts[fields[0]] = self.captions[row % len(self.captions)] if self.captions else CAPTION
        labels = (
            None if self.task == "regression" else tuple(sorted({self.classes[column] for column in self.columns(row)}))
        )
        target = row / 4 if self.task == "regression" else None
        item = Item(self.ids[row], picture, texts, labels, target, self.ids[row])
        return item, image_key((self.root / "pictures" / picture).read_bytes()) if picture else None

    def columns(self, row: int) -> list[int]:
        first = row % len(self.classes)
        return [first] if self.task == "multiclass" or row % 3 else [first, (row + 2) % len(self.classes)]

    def _picture(self, row: int) -> str:
        name = f"{row:03}.png"
        image = Image.new("RGB", (320, 200 + 10 * (row % 5)), (40 + 8 * row, 120, 220 - 7 * row))
        ImageDraw.Draw(image).ellipse((60, 40, 160 + 5 * row, 170), fill=(240, 200 - 6 * row, 60))
        image.save(self.root / "pictures" / name)
        return name

    def write_experiment(self, system: System, *, seeds: int = 3, epochs: int = 8) -> None:
        metrics: dict[str, object] = {
            "rows": 12, "seeds": seeds, "unlabelled": 0, "task": self.task, "features": system.features,
            "fusion": system.fusion, "head": system.head, "predictions_digest": "0" * 64,
        }  # fmt: skip
        for place, name in enumerate(METRICS[self.task]):
            metrics[name] = system.value + (0.0 if name in {"f1_macro", "mse"} else 0.01 * (place + 1))
            metrics[f"{name}_std"] = system.deviation
        write_card(self.root / "metrics" / "evaluate" / f"{system.name}.json", metrics)
        self._write_predictions(system, seeds)
        self._write_tables(system)
        rows = [
            (seed, epoch, system.value + 1 / epoch + 0.05 * seed, system.value + 1.2 / epoch + 0.08 * seed)
            for seed in range(seeds)
            for epoch in range(1, epochs + 1)
        ]
        header = ("seed", "epoch", "train_loss", "valid_loss")
        _csv(self.root / f"data/train/{system.name}.history.csv", header, rows if system.head == "mlp" else [])

    def _write_predictions(self, system: System, seeds: int) -> None:
        rng = np.random.default_rng(5)
        rows = [(seed, row) for seed in range(seeds) for row in range(self.items) if self.parts[row] != "train"]
        table = {
            "seed": pa.array([seed for seed, _ in rows], pa.int64()),
            "id": [self.ids[row] for _, row in rows],
            "part": [self.parts[row] for _, row in rows],
            "scores": pa.array([self._scores(row, rng) for _, row in rows], pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(table), self.root / f"data/train/{system.name}.parquet")

    def _scores(self, row: int, rng: np.random.Generator) -> list[float]:
        if self.task == "regression":
            return [row / 4 + float(rng.normal()) / 4]
        truth = np.isin(np.arange(len(self.classes)), self.columns(row))
        return list(np.clip(0.75 * truth + rng.normal(0.1, 0.25, len(self.classes)), 0, 1))

    def _write_tables(self, system: System) -> None:
        if self.task == "regression":
            return
        folder = self.root / "data" / "evaluate" / system.name
        rng = np.random.default_rng(len(system.name))
        scores = [
            (
                label,
                "",
                4 - place % 3,
                0.5,
                0.5,
                round(float(np.clip(system.value + rng.normal(0, 0.15), 0, 1)), 4),
                0.01,
            )
            for place, label in enumerate(self.classes)
        ]
        _csv(
            folder / "per_class.csv", ("class", "super_class", "support", "precision", "recall", "f1", "f1_std"), scores
        )
        pairs = [(label, label) for label in self.classes for _ in range(3)]
        pairs += [(self.classes[0], self.classes[1])] * 2 + [
            (self.classes[2], "(nothing)"),
            (self.classes[3], self.classes[5]),
        ]
        _csv(folder / "confusion.csv", ("actual", "predicted"), pairs)

    def write_encoders(self) -> None:
        for name, encoder, field in (("caption-hash", "hash", "caption"), ("image-colorhist", "colorhist", "image")):
            facts = {"rows": self.items, "present": self.items - 3, "ok": self.items - 3, "failed": 0, "dim": 64}
            about = {
                "dtype": "float32",
                "encoder": encoder,
                "field": field,
                "fingerprint": "ab12" * 16,
                "digest": "cd" * 32,
            }
            write_card(self.root / "metrics" / "embed" / f"{name}.json", {**facts, **about})

    def write_retrieval(self, name: str = "both-knn") -> None:
        metrics = {
            "n_queries": 2, "n_unanswerable": 0, "n_gallery": 6, "top_1": 0.5, "top_1_low": 0.125, "top_1_high": 0.875,
            "top_5": 1.0, "precision_5": 0.4,
            "recall_10": 0.5, "mrr": 0.75, "random_top_1": 0.2, "random_mrr": 0.3,
            "features": "caption-hash + image-colorhist",
        }  # fmt: skip
        write_card(self.root / "metrics" / "retrieve" / f"{name}.json", metrics)
        found = [(query, rank, self.ids[4 * rank], 0.1 * rank, (rank == 1) == (query == self.ids[1]))
                 for query in (self.ids[1], self.ids[3]) for rank in range(1, 6)]  # fmt: skip
        columns = list(zip(*found, strict=True))
        names = ("query", "rank", "id", "distance", "relevant")
        pq.write_table(
            pa.table(dict(zip(names, map(list, columns), strict=True))), self.root / f"data/retrieve/{name}.parquet"
        )


def _csv(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]] | list[tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def whole_run(root: Path, task: Task = "multilabel") -> RunFolder:
    """Write a run with five experiments, encoders and a retrieval system."""
    folder = RunFolder(root, task)
    folder.write_data()
    folder.write_encoders()
    for system in SYSTEMS:
        folder.write_experiment(system)
    if task != "regression":
        folder.write_retrieval()
    return folder
