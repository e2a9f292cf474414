"""A folder with a manifest, pictures and a store, over which `embed` is run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stages.contract import SilentProgress
from stages.embed.params import EmbedParams
from stages.embed.run import EmbedInputs, EmbedOutputs, EmbedResult, run
from stages.embed.settings import EmbedSettings
from store import FeatureStore, Matrix, image_key, open_matrix
from store.items.records import Item, ManifestInfo, write_manifest
from tests.rules.cards import read_card


def picture(number: int, size: int = 6) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (size, size + 1, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Album:
    """Items with captions and pictures; `embed` runs over them in this process."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.parquet"

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def outputs(self) -> EmbedOutputs:
        return self.outputs_named("matrix.zarr.zip")

    def outputs_named(self, name: str) -> EmbedOutputs:
        return EmbedOutputs(self.root / "out" / name, self.root / "out" / "card.json", self.root / "out" / "failed.csv")

    def write(self, captions: Sequence[str | None], ids: Sequence[str] | None = None) -> None:
        """Write a manifest of captions alone."""
        names = ids or [f"i{row}" for row in range(len(captions))]
        items = [
            Item(name, None, {"caption": text}, ("a",), None, name) for name, text in zip(names, captions, strict=True)
        ]
        self._write([(item, None) for item in items])

    def write_pictures(self, numbers: Sequence[int | None]) -> None:
        """Write a manifest of pictures alone: row i shows picture `numbers[i]`, in its own file."""
        self.write_files([None if number is None else picture(number) for number in numbers])

    def write_pairs(
        self, captions: Sequence[str | None], pictures: Sequence[int | bytes | None], ids: Sequence[str] | None = None
    ) -> None:
        """Write a manifest of captions and pictures, these by number or as files that they are."""
        contents = [picture(each) if isinstance(each, int) else each for each in pictures]
        names = ids or [f"i{row}" for row in range(len(captions))]
        self.pictures.mkdir(exist_ok=True)
        rows: list[tuple[Item, bytes | None]] = []
        for name, text, content in zip(names, captions, contents, strict=True):
            path = None if content is None else f"{name}.png"
            rows.append((Item(name, path, {"caption": text}, ("a",), None, name), content and image_key(content)))
            if path and content:
                (self.pictures / path).write_bytes(content)
        self._write(rows)

    def write_files(self, contents: Sequence[bytes | None]) -> None:
        """Write the files 0.png, 1.png, ... and a manifest of them."""
        self.pictures.mkdir(exist_ok=True)
        rows: list[tuple[Item, bytes | None]] = []
        for row, content in enumerate(contents):
            name = None if content is None else f"{row}.png"
            rows.append((Item(f"i{row}", name, {}, ("a",), None, f"i{row}"), content and image_key(content)))
            if name and content:
                (self.pictures / name).write_bytes(content)
        self._write(rows)

    def _write(self, rows: list[tuple[Item, bytes | None]]) -> None:
        info = ManifestInfo("table", str(self.pictures), "multiclass", ("a",), {}, ("caption",))
        write_manifest(self.manifest, info, rows)

    def embed(
        self, matrix: str = "matrix.zarr.zip", settings: dict[str, Any] | None = None, **params: Any
    ) -> EmbedResult:
        """Run `embed` with the counting encoder over captions, unless `params` say otherwise."""
        asked = EmbedParams(**{"encoder": "counting", "field": "caption", **params})
        chosen = {"store": FeatureStore(self.store, durability="none"), **(settings or {})}
        outputs = self.outputs_named(matrix)
        return run(asked, EmbedInputs(self.manifest), outputs, EmbedSettings(**chosen), SilentProgress())

    def matrix(self, name: str = "matrix.zarr.zip") -> Matrix:
        return open_matrix(self.root / "out" / name)

    def rows(self, name: str = "matrix.zarr.zip") -> np.ndarray:
        matrix = self.matrix(name)
        return matrix.block(0, len(matrix))

    def card(self) -> dict[str, Any]:
        return read_card(self.outputs.card)

    def failed(self) -> list[list[str]]:
        """The list of failures, without its header."""
        with self.outputs.failed.open(newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
        assert header == ["id", "reason"]
        return rows

    def segments(self) -> list[Path]:
        return sorted(self.store.glob("v1/*/segments/*"))

    def temporaries(self) -> list[Path]:
        return [*self.root.rglob(".tmp-*"), *self.root.rglob("*.tmp")]
