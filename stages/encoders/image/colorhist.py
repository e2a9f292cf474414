"""The weightless image double (`colorhist`): a 4 x 4 x 4 RGB histogram; docs/systems/encoders.md#colorhist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import __version__ as pillow_version

from stages.encoders import profiles
from stages.encoders.decoding import load_image
from stages.encoders.profiles import Profile
from stages.encoders.protocol import Placement, Rows, Runtime, Simple

_CODE_VERSION = 1


class ColorHistogram(Simple):
    """64-d L1-normalised colour histogram of the whole picture; for tests and dry runs.

    Parameters
    ----------
    profile : {"srgb"}, optional
        What colours are converted to by the profile in the file.
    """

    dim = 64
    window = 256

    def __init__(self, profile: Profile | None = None) -> None:
        self.profile = profile

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record."""
        chosen = {"profile": profiles.identity()} if self.profile else {}
        return {
            **chosen,
            "family": "colorhist",
            "bins": [4, 4, 4],
            "normalise": "l1",
            "decode": "exact",
            "pillow": pillow_version.partition(".")[0],
            "code_version": _CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (there are no weights)
        """Do nothing: there are no weights."""
        return Runtime("numpy")

    def prepare(self, raws: Sequence[bytes]) -> list[Rows]:
        """Return the histograms, [64] each, of encoded pictures."""
        return [_histogram(raw, self.profile) for raw in raws]

    def encode(self, batch: Sequence[Rows]) -> Rows:
        """Return the histograms [n, 64]."""
        return np.stack(batch)


def _histogram(raw: bytes, profile: Profile | None) -> Rows:
    pixels = np.asarray(load_image(raw, profile=profile)) >> 6  # [H, W, 3], two bits a channel
    codes = (pixels[..., 0] << 4 | pixels[..., 1] << 2 | pixels[..., 2]).ravel()
    counts = np.bincount(codes, minlength=64)
    histogram: Rows = (counts / counts.sum()).astype(np.float32)
    return histogram
