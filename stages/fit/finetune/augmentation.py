"""Random crops and mirror images of a decoded picture, drawn from a generator of its own: equal seeds, equal pixels."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

_ATTEMPTS = 10
_RATIOS = (3 / 4, 4 / 3)


def augmented(
    picture: Image.Image, size: int, least: float, resample: Image.Resampling, rng: np.random.Generator
) -> Image.Image:
    """Return a random part of the picture, [size, size], mirrored half of the time.

    Parameters
    ----------
    picture : PIL picture
    size : int
        Pixels of a side of the result.
    least : float
        Smallest share of the picture's area that the part may have; the largest is 1.
    resample : PIL filter
    rng : Generator
        Where all chance comes from.
    """
    left, top, width, height = random_part(picture.width, picture.height, least, rng)
    box = (left, top, left + width, top + height)
    part = picture.resize((size, size), resample, box=box)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def random_part(width: int, height: int, least: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (left, top, width, height) of a part of at least a share of the area, its sides' ratio in 3/4 to 4/3.

    A picture so long that no such part was found gives the largest part in its centre that keeps to the ratio.
    """
    for _ in range(_ATTEMPTS):
        area = width * height * rng.uniform(least, 1.0)
        ratio = math.exp(rng.uniform(math.log(_RATIOS[0]), math.log(_RATIOS[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = rng.integers(0, width - wide + 1), rng.integers(0, height - high + 1)
            return int(left), int(top), wide, high
    ratio = min(max(width / height, _RATIOS[0]), _RATIOS[1])
    wide, high = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    return (width - wide) // 2, (height - high) // 2, wide, high
