"""SIFT descriptors of a picture, at its key points or on a grid: `bovw` is fitted on them and counts them."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.encoders.decoding import load_image

WIDTH = 128
_SMALLEST = 16  # pixels of a side; a smaller picture is doubled once
# Pixels of the longer side; a larger picture is scaled down: SIFT needs 180 bytes for each pixel, 4 GB for a photograph
# of 24 million.
_LARGEST = 1024
_STEP, _PATCH = 8, 16  # of the grid, in pixels
_SIZE = _PATCH / 6  # of a key point as OpenCV means it: the four cells of a descriptor are six times as wide


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
    grid = [cv2.KeyPoint(x, y, _SIZE, 0.0) for x, y in _grid(*grey.shape)] if dense else []
    points: Any
    vectors: Any
    if dense:
        points, vectors = sift.compute(grey, grid) if grid else ((), None)
    else:
        points, vectors = sift.detectAndCompute(grey, None)
    if not points:
        return Described(np.zeros((0, 2), np.float32), np.zeros((0, WIDTH), np.float32))
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
