"""Paints the background of a scene; called by `composing`, which puts the objects on top."""

from __future__ import annotations

import math
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image

_GRAIN = 6.0
"""Standard deviation of the noise on every background, in grey levels."""
_ROOM = 64


def paint_background(size: int, random: Random) -> tuple[Image.Image, str]:
    """Paint a square background and say what it looks like.

    Parameters
    ----------
    size : int
        Side in pixels.
    random : Random
        The source of chance of this picture.

    Returns
    -------
    image : PIL.Image.Image
        Mode "RGB", size x size.
    word : str
        plain, shaded, striped, checked, dotted or cloudy.
    """
    word = random.choice(tuple(_PATTERNS))
    grains = np.random.default_rng(random.getrandbits(64))
    light, dark = _pale_colour(random), _pale_colour(random)
    share = _PATTERNS[word](size, random, grains)[..., None]  # [H,W,1] in [0, 1]
    pixels = light + (dark - light) * share
    down, across = random.randrange(_ROOM), random.randrange(_ROOM)
    pixels += _grain(size)[down : down + size, across : across + size]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), word


@lru_cache(maxsize=4)
def _grain(size: int) -> np.ndarray:
    """Draw the noise once, wide enough to lie differently on each picture: float32 [H,W,1], not to be changed."""
    side = size + _ROOM
    return np.random.default_rng(0).normal(0, _GRAIN, (side, side, 1)).astype(np.float32)


def _pale_colour(random: Random) -> np.ndarray:
    return np.array([random.randint(90, 245) for _ in range(3)], np.float32)


def _plain(size: int, random: Random, grains: np.random.Generator) -> np.ndarray:  # noqa: ARG001 (one shape for all)
    return np.zeros((size, size), np.float32)


def _shaded(size: int, random: Random, grains: np.random.Generator) -> np.ndarray:  # noqa: ARG001 (one shape for all)
    return _slope(size, random) / (2 * size) + 0.5


def _striped(size: int, random: Random, grains: np.random.Generator) -> np.ndarray:  # noqa: ARG001 (one shape for all)
    return (np.floor(_slope(size, random) / random.uniform(10, 40)) % 2).astype(np.float32)


def _checked(size: int, random: Random, grains: np.random.Generator) -> np.ndarray:  # noqa: ARG001 (one shape for all)
    cells = np.arange(size) // random.randint(12, 40)
    return ((cells[:, None] + cells[None, :]) % 2).astype(np.float32)


def _dotted(size: int, random: Random, grains: np.random.Generator) -> np.ndarray:  # noqa: ARG001 (one shape for all)
    pitch = random.randint(16, 40)
    along = (np.arange(size) % pitch - pitch / 2) ** 2
    return (along[:, None] + along[None, :] < (pitch / 4) ** 2).astype(np.float32)


def _cloudy(size: int, random: Random, grains: np.random.Generator) -> np.ndarray:
    coarse = Image.fromarray(grains.random((random.randint(4, 9),) * 2, np.float32))
    smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float32)
    return smooth.clip(0, 1)


def _slope(size: int, random: Random) -> np.ndarray:
    """Return how far each pixel lies along a random direction: float32 [H,W] within [-size, size]."""
    angle = random.uniform(0, math.pi)
    along = np.arange(size, dtype=np.float32) - size / 2
    across = np.float32(math.cos(angle)) * along[None, :] + np.float32(math.sin(angle)) * along[:, None]
    return np.asarray(across, np.float32)


_PATTERNS = {
    "plain": _plain,
    "shaded": _shaded,
    "striped": _striped,
    "checked": _checked,
    "dotted": _dotted,
    "cloudy": _cloudy,
}
