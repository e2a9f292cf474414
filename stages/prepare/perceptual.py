"""A 64-bit hash of what a picture looks like, by which `split` finds near-duplicates; `checks` takes it."""

from __future__ import annotations

import numpy as np
from PIL import Image

_COLUMNS, _ROWS = 9, 8
_SAMPLES = 8  # along each side of a cell: sampling costs the same for every size of picture
_MARGIN = 2  # grey levels; less is the noise of JPEG on even ground


def difference_hash(image: Image.Image) -> int:
    """Hash a picture by whether it gets brighter from left to right, at 8 x 8 places.

    The difference hash (dHash) of 9 x 8 mean grey values, each over an even sample of its cell; a cell must be brighter
    than its left neighbour by more than two grey levels to set its bit. Copies that were compressed, scaled or slightly
    recoloured differ in a few bits, other pictures in about half of them. A flat picture has no bit set.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode "RGB", of any size.

    Returns
    -------
    int
        64 bits, row by row, the first one highest.
    """
    sampled = image.resize((_COLUMNS * _SAMPLES, _ROWS * _SAMPLES), Image.Resampling.NEAREST)
    grey = sampled.convert("L").reduce(_SAMPLES).tobytes()
    cells = np.frombuffer(grey, np.uint8).reshape(_ROWS, _COLUMNS).astype(np.int16)  # [8, 9]
    brighter = cells[:, 1:] - cells[:, :-1] > _MARGIN  # [8, 8]
    return int.from_bytes(np.packbits(brighter).tobytes(), "big")
