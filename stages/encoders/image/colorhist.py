"""The weightless image double (`colorhist`): a 4 x 4 x 4 RGB histogram; systems.md 2.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import __version__ as pillow_version

from stages.encoders.decoding import load_image
from stages.encoders.protocol import Engine, Vectors

_CODE_VERSION = 1


class ColorHistogram:
    """64-d L1-normalised colour histogram of the whole picture; for tests and dry runs."""

    engine: Engine = "numpy"
    dim = 64
    budget = 64
    window = 256

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record."""
        return {
            "family": "colorhist",
            "bins": [4, 4, 4],
            "normalise": "l1",
            "decode": "exact",
            "pillow": pillow_version.partition(".")[0],
            "code_version": _CODE_VERSION,
        }

    def load(self, device: str) -> None:
        """Do nothing: there are no weights."""

    def prepare(self, raw: bytes) -> Vectors:
        """Return the histogram [64] of one encoded picture."""
        pixels = np.asarray(load_image(raw)) >> 6  # [H, W, 3], two bits a channel
        codes = (pixels[..., 0] << 4 | pixels[..., 1] << 2 | pixels[..., 2]).ravel()
        counts = np.bincount(codes, minlength=64)
        histogram: Vectors = (counts / counts.sum()).astype(np.float32)
        return histogram

    def cost(self, prepared: Vectors) -> int:  # noqa: ARG002 (every picture counts the same)
        """Return 1."""
        return 1

    def encode(self, batch: Sequence[Vectors]) -> Vectors:
        """Return the histograms [n, 64]."""
        return np.stack(batch)
