"""The bag of visual words (`bovw`): how often each fitted word is nearest; docs/systems/encoders.md#bovw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as pillow_version
from safetensors.numpy import load_file

from stages.encoders.artefact import Artefact
from stages.encoders.image.sift import Described, describe
from stages.encoders.protocol import Part, Placement, Rows, Runtime, ZeroRows, row_width
from stages.encoders.row import EncoderChoice
from stages.errors import InputError

VOCABULARY = "vocabulary.safetensors"
_CODE_VERSION = 1
# The three boxes of an NLVR picture, 400 pixels wide: 0 to 99, 150 to 249 and 300 to 399; as shares of the width.
_BOXES = ((0.0, 0.25), (0.375, 0.625), (0.75, 1.0))
Counts = NDArray[np.int64]
Masks = NDArray[np.bool_]


class VisualWords:
    """Histograms over k words, each of length 1 unless it is empty: of the picture, and of parts of it when wanted.

    Parameters
    ----------
    folder : Path
        What `fit` wrote.
    choice : EncoderChoice
        `map` and `regions`: whether histograms of the grid's cells, or of the regions, lie beside the vector.
    """

    zero_rows: ZeroRows = "legal"  # a picture without a descriptor has an empty histogram
    runs_network = False
    bytewise = False
    budget = 64
    concurrency = 1
    window = 256
    chunk = 1

    def __init__(self, folder: Path, choice: EncoderChoice) -> None:
        self.artefact = Artefact.open(folder, "bovw")
        self._empty = 0
        options = self.artefact.options
        self.k, self.dense = int(options["k"]), bool(options["dense"])
        self.grid: tuple[int, int] = (options["grid"][0], options["grid"][1])
        self.form: str = options["regions"]
        self.parts = (Part("vectors", (self.k,)), *self._beside(choice))
        self.dim = row_width(self.parts)

    def _beside(self, choice: EncoderChoice) -> list[Part]:
        if choice.regions and self.form == "none":
            raise InputError(
                f"regions: expected a vocabulary that was fitted with `regions: grid` or `boxes3`; found none in "
                f"{self.artefact.folder}; set `regions` of its entry in the section `fit`."
            )
        parts = [Part("map", (self.k, *self.grid))] if choice.map else []
        count = len(_BOXES) if self.form == "boxes3" else self.grid[0] * self.grid[1]
        return [*parts, Part("regions", (count, self.k), counted=True)] if choice.regions else parts

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: what was fitted, what is in a row, and whose code describes a picture."""
        return {
            "family": "bovw",
            "fitted": dict(self.artefact.identity()),
            "parts": [part.name for part in self.parts],
            "opencv": ".".join(version("opencv-python-headless").split(".")[:2]),
            "pillow": pillow_version.partition(".")[0],
            "code_version": _CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (OpenCV runs on the processor only)
        """Load the vocabulary [k, 128]."""
        self._words = load_file(self.artefact.folder / VOCABULARY)["words"].astype(np.float64)
        self._halves = (self._words**2).sum(axis=1) / 2
        return Runtime("opencv")

    def prepare(self, raws: Sequence[bytes]) -> list[Rows]:
        """Return the row [dim] of each encoded picture."""
        return [self._row(describe(raw, dense=self.dense)) for raw in raws]

    def _row(self, described: Described) -> Rows:
        words = self.nearest(described)
        parts = [unit(histograms(words, np.ones((1, len(words)), np.bool_), self.k))]
        for part in self.parts[1:]:
            cells = unit(histograms(words, inside(described, part.name, self.form, self.grid), self.k))
            parts.append(cells.T if part.name == "map" else cells)  # [k, H * W] or [R, k]
            if part.counted:
                parts.append(np.array([len(cells)], np.float32))  # every picture has all of its regions
        return np.concatenate([each.ravel() for each in parts]).astype(np.float32)

    def nearest(self, described: Described) -> Counts:
        """Return for each descriptor the word at the smallest Euclidean distance: [P]."""
        nearest: Counts = np.argmin(self._halves - described.vectors.astype(np.float64) @ self._words.T, axis=1)
        return nearest

    def notes(self) -> Mapping[str, int]:
        """Return how many pictures had no descriptor, and so an empty histogram."""
        return {"without_descriptors": self._empty}

    def cost(self, prepared: Rows) -> int:  # noqa: ARG002 (every picture counts the same)
        """Return 1."""
        return 1

    def encode(self, batch: Sequence[Rows]) -> Rows:
        """Return the rows [n, dim]."""
        rows = np.stack(batch)
        self._empty += int(np.count_nonzero(~rows.any(axis=1)))
        return rows


def histograms(words: Counts, masks: Masks, k: int) -> Counts:
    """Count the words [P] inside each mask [R, P]: [R, k]."""
    return np.stack([np.bincount(words[mask], minlength=k) for mask in masks])


def unit(counts: Counts) -> Rows:
    """Scale each row to length 1; an empty one stays empty."""
    lengths = np.sqrt((counts.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return (counts / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def inside(described: Described, part: str, form: str, grid: tuple[int, int]) -> Masks:
    """Tell which descriptors have their centre in which region: [R, P]; the cells of a grid row by row."""
    x, y = described.places.T
    if part == "regions" and form == "boxes3":
        return np.stack([(x >= left) & (x < right) for left, right in _BOXES])
    rows, columns = (y * grid[0]).astype(np.int64), (x * grid[1]).astype(np.int64)
    masks: Masks = (rows * grid[1] + columns) == np.arange(grid[0] * grid[1])[:, None]
    return masks
