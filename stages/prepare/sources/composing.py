"""Composes one picture: glyphs drawn by resvg, scaled, turned and laid on a background; called by `scenes`."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path
from random import Random

import resvg_py
from PIL import Image

from stages.prepare.params import ScenesParams
from stages.prepare.sources.textures import paint_background
from stages.prepare.sources.vocabulary import Glyph, Vocabulary

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
