"""Pictures without a model: their colours counted, or their bytes; docs/systems/encoders.md#colorhist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import __version__ as pillow_version

from stages.models.encoders.catalog.row import Resize
from stages.models.encoders.image import profiles
from stages.models.encoders.image.decoding import load_image
from stages.models.encoders.image.preprocessing import Pixels, Preprocessing
from stages.models.encoders.image.profiles import Profile
from stages.models.encoders.protocol import Placement, Rows, Runtime, Simple, ZeroRows
from store.errors import InputError

_COLORHIST_CODE_VERSION = 1


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
            "code_version": _COLORHIST_CODE_VERSION,
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


_PIXELS_CODE_VERSION = 1
_LARGEST_SIZE = 1024


class PixelImage(Simple):
    """The bytes [3, size, size] of a picture, its red, green and blue planes one behind the other; never normalised.

    End-to-end fusions train on them from the store; docs/systems/encoders.md#pixels.

    Parameters
    ----------
    size : int
        Pixels of a side.
    resize : {"crop", "squash"}
        Short side to size / .875 (256 for 224) and the centre of that; or both sides at once, whatever the picture's
        shape. Both bilinear, as the networks that learn from raw pixels expect it.
    profile : {"srgb"}, optional
        As in `Preprocessing`.
    """

    bytewise = True
    zero_rows: ZeroRows = "legal"  # a black picture
    budget = 16
    window = 64

    def __init__(self, size: int, resize: Resize, profile: Profile | None = None) -> None:
        if not 1 <= size <= _LARGEST_SIZE:
            raise InputError(f"size: expected 1 to {_LARGEST_SIZE} pixels; found {size}; most networks take 224.")
        self.preprocessing = Preprocessing(size, 0.875, "bilinear", (0, 0, 0), (1, 1, 1), resize, profile=profile)
        self.dim = 3 * size * size

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record."""
        return {
            "family": "pixels",
            "layout": "chw",
            "preprocessing": self.preprocessing.identity(),
            "code_version": _PIXELS_CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (there are no weights)
        """Do nothing: there are no weights."""
        return Runtime("numpy")

    def prepare(self, raws: Sequence[bytes]) -> list[Pixels]:
        """Return the pixels uint8 [size, size, 3] of each encoded picture."""
        return [self.preprocessing(raw) for raw in raws]

    def encode(self, batch: Sequence[Pixels]) -> Rows:
        """Return the rows [n, 3 * size * size], whole numbers of 0 to 255."""
        planes = np.stack(batch).transpose(0, 3, 1, 2)  # [n, 3, size, size]
        return planes.reshape(len(batch), self.dim).astype(np.float32)
