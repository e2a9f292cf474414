"""The `early` fusion: raw pixels beside a bag of words, no encoder between; docs/systems/fusions.md#early."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self

import numpy as np

from stages.epochs import UNWATCHED, Watch
from stages.errors import InputError
from stages.fusions.base import FusionTransformer
from stages.fusions.layout import Layout, split_parts
from stages.heads.model import Array, Features

_BRIGHTEST = np.float32(255)


class EarlyFusion(FusionTransformer):
    """x = [pixels / 255; bag of words], [n, 3 S S + D]: the picture first, though it is the last of the inputs.

    The published sizes are pictures of 32 x 32 (encoder `pixels`, 3072 bytes) and a caption hashed into 1024 bins
    (encoder `hash`): 4096 columns together.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The bag, then the pixels. None takes all columns for pixels that every row has.

    Source: paper 0 (ablation), docs/systems/fusions.md#early.
    """

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (nothing to learn)
        """Learn nothing but the number of columns.

        Raises
        ------
        InputError
            When the last input cannot be the pixels of square pictures.
        """
        self._learnable(x)
        if self.inputs is not None:
            _refuse_other_pictures(self.inputs)
        return self

    def transform(self, x: Array) -> Array:
        """Return the pixels in [0, 1], then the bag."""
        *texts, image = split_parts(self._transformable(x), self.inputs)
        return np.concatenate([image.vector / _BRIGHTEST, *(each.vector for each in texts)], axis=1)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was learned."""

    def restore(self, folder: Path) -> Self:  # noqa: ARG002 (nothing was saved)
        """Take up the number of columns from the layout."""
        return self._restored()


def _refuse_other_pictures(layout: Layout) -> None:
    width = layout[-1].width
    size = math.isqrt(width // 3)
    if 3 * size * size != width:
        raise InputError(
            f"fusion early: expected pixels as the last input, 3 x S x S columns; found {width}; give it an entry of "
            "`embed` with `encoder: pixels` and `size: 32`."
        )
