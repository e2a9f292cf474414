"""A data set of real emoji scenes with captions and labels, over which `fit` is run; its test rows can be spoilt."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from stages.contract import Progress, SilentProgress
from stages.fit.params import FitParams
from stages.fit.run import FitInputs, FitOutputs, FitSettings, run
from stages.prepare.params import ScenesParams
from stages.prepare.sources.scenes.pictures import choose_glyphs, compose
from stages.prepare.sources.scenes.source import caption
from stages.prepare.sources.scenes.vocabulary import read_vocabulary
from store import image_key
from store.items.records import Item, ManifestInfo, Task, write_manifest
from store.items.split import write_split
from tests.rules.cards import flat

COUNT = 40
_VOCABULARY = Path(__file__).parents[3] / "stages" / "prepare" / "sources" / "scenes.yaml"
LABELS = ("animal", "food", "place")


@dataclass(frozen=True)
class Record:
    """One item with all that a fitter might see of it."""

    id: str
    caption: str | None
    picture: bytes | None
    labels: tuple[str, ...] | None
    part: str


@cache
def scenes(size: int = 64) -> tuple[tuple[str, bytes], ...]:
    """Compose the first scenes of the embedded data set: caption and PNG of each."""
    return tuple(_compose(size))


@dataclass(frozen=True)
class Case:
    """A folder with manifest, split and pictures."""

    root: Path
    records: tuple[Record, ...] = field(default=())
    task: Task = "multilabel"

    def written(self) -> Case:
        """Write the files that `fit` reads."""
        (self.root / "pictures").mkdir(parents=True, exist_ok=True)
        rows: list[tuple[Item, bytes | None]] = []
        for each in self.records:
            name = f"{each.id}.png" if each.picture else None
            if name and each.picture:
                (self.root / "pictures" / name).write_bytes(each.picture)
            labels, value = (None, 1.0) if self.task == "regression" else (each.labels, None)
            item = Item(each.id, name, {"caption": each.caption}, labels, value, each.id)
            rows.append((item, each.picture and image_key(each.picture)))
        classes = () if self.task == "regression" else LABELS
        info = ManifestInfo("table", str(self.root / "pictures"), self.task, classes, {}, ("caption",))
        write_manifest(self.root / "manifest.parquet", info, rows)
        write_split(self.root / "split.parquet", [r.id for r in self.records], [r.part for r in self.records], {})
        return self

    @property
    def outputs(self) -> FitOutputs:
        return FitOutputs(
            self.root / "models/fit/it", self.root / "metrics/fit/it.json", self.root / "data/fit/it.history.csv"
        )

    @property
    def states(self) -> Path:
        return self.root / "states"

    def fit(self, progress: Progress | None = None, **params: Any) -> dict[str, Any]:
        """Run `fit`, saving its state after every epoch."""
        inputs = FitInputs(self.root / "manifest.parquet", self.root / "split.parquet")
        settings = FitSettings(self.states, device="cpu", state_seconds=0)
        return flat(run(FitParams(**params), inputs, self.outputs, settings, progress or SilentProgress()))

    def written_bytes(self) -> dict[str, bytes]:
        """Read all that a fit wrote, by name."""
        made = self.outputs
        files = [path for path in made.model.rglob("*") if path.is_file()]
        return {path.name: path.read_bytes() for path in [*files, made.card, made.history]}


def make_case(root: Path) -> Case:
    """Take the scenes as they are: of five items three stand in train, one in dev, one in test."""
    parts = ("train", "train", "dev", "train", "test")
    records = [
        Record(f"i{row:03}", caption, picture, (LABELS[row % 3],), parts[row % 5])
        for row, (caption, picture) in enumerate(scenes())
    ]
    return Case(root, tuple(records)).written()


def spoilt(case: Case, root: Path) -> Case:
    """Replace all inputs and labels of dev and test by noise: docs/systems/evaluation.md#nothing-of-dev-and-test."""
    rng = np.random.default_rng(5)
    records = [
        each
        if each.part == "train"
        else replace(each, caption=noise_text(rng), picture=noise_picture(rng), labels=LABELS[rng.integers(3) :])
        for each in case.records
    ]
    return Case(root, tuple(records)).written()


def shuffled(case: Case, root: Path) -> Case:
    """Permute the dev and test items over the rows that they stand on; every train item keeps its row."""
    others = [row for row, each in enumerate(case.records) if each.part != "train"]
    records = list(case.records)
    for to, source in zip(others, np.random.default_rng(6).permutation(others).tolist(), strict=True):
        records[to] = case.records[source]
    return Case(root, tuple(records)).written()


def noise_text(rng: np.random.Generator) -> str:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return " ".join("".join(rng.choice(letters, 7)) for _ in range(9))


def noise_picture(rng: np.random.Generator, size: int = 40) -> bytes:
    return png(rng.integers(0, 256, (size, size, 3)).astype(np.uint8))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _compose(size: int) -> Iterator[tuple[str, bytes]]:
    vocabulary, params = read_vocabulary(_VOCABULARY), ScenesParams(items=COUNT, size=size)
    for number in range(COUNT):
        random = Random(number)  # noqa: S311 (pictures, not secrets)
        glyphs = choose_glyphs(vocabulary, params, random)
        picture, background = compose(glyphs, params, random)
        yield caption(vocabulary, glyphs, background, params, random), png(np.asarray(picture.convert("RGB")))
