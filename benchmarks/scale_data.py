"""Synthetic items and encoders for `benchmarks.scale`: texts without pictures, vectors that follow from their keys."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.catalog.row import EncoderChoice, EncoderRow
from stages.models.encoders.protocol import Placement, Rows, Runtime, Simple
from store.items.keys import text_key

WIDTHS = {"scale-text": 768, "scale-image": 2048}
CLASSES = 20
_PULL = 0.3  # how far the rows of a class lie from those of another; the numbers of a row vary by 0.58
_GOLDEN = 0x9E3779B97F4A7C15


class KeyedEncoder(Simple):
    """A vector of uniform numbers drawn from the key of the text, around the centre of the text's class.

    Source of the numbers: SplitMix64 (Steele, Lea and Flood, 2014), four of 16 bits from each word.
    """

    window, budget, chunk = 8192, 1024, 256

    def __init__(self, name: str, dim: int) -> None:
        self.name, self.dim = name, dim

    def identity(self) -> Mapping[str, Any]:
        """Return the little there is to say."""
        return {"architecture": "synthetic", "name": self.name, "dim": self.dim, "code_version": 1}

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (numpy computes on the processor)
        """Draw the centres."""
        self._centres = np.random.default_rng(self.dim).standard_normal((CLASSES, self.dim), np.float32) * _PULL
        return Runtime("numpy")

    def prepare(self, raws: Sequence[str]) -> Sequence[bytes]:
        """Return the keys."""
        return [text_key(raw) for raw in raws]

    def encode(self, batch: Sequence[bytes]) -> Rows:
        """Return the vectors [n, dim]."""
        keys = np.frombuffer(b"".join(batch), np.uint8).reshape(len(batch), -1)
        seeds = np.ascontiguousarray(keys[:, :8]).view("<u8") ^ np.uint64(self.dim)
        noise = _mixed(seeds + np.arange(1, self.dim // 4 + 1, dtype=np.uint64) * np.uint64(_GOLDEN))
        vectors = noise.view(np.int16).astype(np.float32)
        vectors *= np.float32(1 / 32768)
        vectors += self._centres[keys[:, 8] % CLASSES]
        return vectors


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words ^= words >> np.uint64(shift)
        words *= np.uint64(factor)
    words ^= words >> np.uint64(31)
    return words


def register_encoders() -> None:
    """Add the encoders to the catalogue of this process, where `embed` finds them as it finds any other."""
    for name, dim in WIDTHS.items():
        ENCODERS[name] = EncoderRow(
            name,
            "text",
            dim,
            "none",
            "a text",
            "none",
            "none",
            "none",
            "benchmarks/scale_data.py",
            (),
            _builder(name, dim),
        )


def _builder(name: str, dim: int) -> Any:
    def build(choice: EncoderChoice) -> KeyedEncoder:  # noqa: ARG001 (there is nothing to choose)
        return KeyedEncoder(name, dim)

    return build


def write_items(path: Path, rows: int) -> None:
    """Write a table of items, no two alike: id, text, and the class that the text's key says."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "text", "label"])
        for number in range(rows):
            text = f"a made-up caption, not of a picture, number {number} of as many as are asked for"
            writer.writerow([f"item-{number:010}", text, f"class-{text_key(text)[8] % CLASSES:02}"])
