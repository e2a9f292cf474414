"""Composes one picture: a painted background, and glyphs that are scaled, turned and laid on it."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import resvg_py
from PIL import Image

from stages.prepare.params import ScenesParams
from stages.prepare.sources.scenes.vocabulary import Glyph, Vocabulary

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


_DRAWN_AT = 256
_PLACES_TRIED = 4
_TURN = 35.0
"""Objects lean at most so many degrees either way."""


def choose_glyphs(vocabulary: Vocabulary, params: ScenesParams, random: Random) -> list[Glyph]:
    """Choose 1 to `params.objects` objects: first the category, so that all are equally frequent, then the glyph."""
    wanted = random.randint(1, params.objects)
    return [random.choice(random.choice(vocabulary.of_category)) for _ in range(wanted)]


def compose(glyphs: list[Glyph], params: ScenesParams, random: Random) -> tuple[Image.Image, str]:
    """Draw the objects at random places, sizes and angles, later ones over earlier ones.

    Returns
    -------
    image : PIL.Image.Image
        Mode "RGB", a square of `params.size`.
    background : str
        A word for what lies behind the objects.
    """
    image, background = paint_background(params.size, random)
    centres: list[tuple[float, float]] = []
    for glyph in glyphs:
        side = round(params.size * random.uniform(params.smallest, params.largest))
        turned = _drawing(glyph.svg).resize((side, side), Image.Resampling.BILINEAR)
        turned = turned.rotate(random.uniform(-_TURN, _TURN), Image.Resampling.BILINEAR, expand=True).convert("RGBA")
        centre = _choose_centre(centres, params.size, side, random)
        centres.append(centre)
        image.paste(turned, (round(centre[0] - turned.width / 2), round(centre[1] - turned.height / 2)), turned)
    return image, background


def _choose_centre(taken: list[tuple[float, float]], size: int, side: int, random: Random) -> tuple[float, float]:
    """Choose a place inside the picture: the one of a few that lies farthest from the objects already there.

    Objects still overlap, as five of them must; but a picture rarely hides one entirely.
    """
    room = [side / 2 + random.random() * (size - side) for _ in range(2 * _PLACES_TRIED)]
    places = list(zip(room[::2], room[1::2], strict=True))
    return max(places, key=lambda place: min((math.dist(place, other) for other in taken), default=0.0))


@lru_cache(maxsize=4096)
def _drawing(svg: Path) -> Image.Image:
    """Rasterise a glyph once, `_DRAWN_AT` pixels a side. Shared by threads, so nobody may change it.

    Colours are multiplied by their opacity (mode "RGBa"): scaling and turning then need no conversion each.
    """
    png = resvg_py.svg_to_bytes(svg_path=str(svg), width=_DRAWN_AT, height=_DRAWN_AT, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png)), formats=("PNG",)) as image:
        return image.convert("RGBA").convert("RGBa")
