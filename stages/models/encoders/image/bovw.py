"""The bag of visual words: SIFT, and how often each word is nearest; docs/systems/encoders.md#bovw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import __version__ as pillow_version
from safetensors.numpy import load_file

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.decoding import load_image
from stages.models.encoders.protocol import Part, Placement, Rows, Runtime, ZeroRows, row_width
from store.errors import InputError

DESCRIPTOR_WIDTH = 128
_SMALLEST = 16  # pixels of a side; a smaller picture is doubled once
# Pixels of the longer side; a larger picture is scaled down: SIFT needs 180 bytes for each pixel, 4 GB for a photograph
# of 24 million.
_LARGEST = 1024
_STEP, _PATCH = 8, 16  # of the grid, in pixels
_POINT_SIZE = _PATCH / 6  # of a key point as OpenCV means it: the four cells of a descriptor are six times as wide


class Described(NamedTuple):
    """The descriptors of one picture.

    Attributes
    ----------
    places : ndarray of float32, [P, 2]
        Of each descriptor (x, y), as shares of the picture's width and height: in [0, 1).
    vectors : ndarray of float32, [P, 128]
        Whole numbers of 0 to 255.
    """

    places: NDArray[np.float32]
    vectors: NDArray[np.float32]


def describe(encoded: bytes, *, dense: bool) -> Described:
    """Describe a picture in grey.

    Parameters
    ----------
    encoded : bytes
        The whole file.
    dense : bool
        On a grid of 8 pixels, 16 pixels wide and upright, instead of at key points: a flat picture has few of those.

    Raises
    ------
    UndecodableImage
        When the bytes are no picture that the decoder accepts.
    """
    cv2 = _opencv()
    grey = _grey(load_image(encoded))
    sift: Any = cv2.SIFT.create()
    grid = [cv2.KeyPoint(x, y, _POINT_SIZE, 0.0) for x, y in _grid(*grey.shape)] if dense else []
    points: Any
    vectors: Any
    if dense:
        points, vectors = sift.compute(grey, grid) if grid else ((), None)
    else:
        points, vectors = sift.detectAndCompute(grey, None)
    if not points:
        return Described(np.zeros((0, 2), np.float32), np.zeros((0, DESCRIPTOR_WIDTH), np.float32))
    sides = np.array(grey.shape[::-1], np.float32)
    places = np.array([point.pt for point in points], np.float32) / sides
    return Described(np.clip(places, 0, np.nextafter(np.float32(1), np.float32(0))), vectors)


@cache
def _opencv() -> Any:
    """Import OpenCV, and keep it to one thread: pictures are described in several already, 1.4 times as fast so."""
    import cv2  # a tenth of a second to import, needed on a miss only

    cv2.setNumThreads(1)
    return cv2


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    if max(image.size) > _LARGEST:
        share = _LARGEST / max(image.size)
        width, height = (max(1, round(side * share)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if min(image.size) < _SMALLEST:
        image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BILINEAR)
    return np.asarray(image.convert("L"))


def _grid(height: int, width: int) -> list[tuple[float, float]]:
    """Return the centres (x, y) of the cells of the grid, row by row."""
    start = _STEP // 2
    return [(float(x), float(y)) for y in range(start, height, _STEP) for x in range(start, width, _STEP)]


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
