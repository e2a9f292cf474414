"""From the bytes of a picture to the input of a network; docs/systems/encoders.md#pictures-before-encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import __version__ as pillow_version

from stages.models.encoders.catalog.row import Decode, Resize
from stages.models.encoders.image import profiles
from stages.models.encoders.image.decoding import load_image
from stages.models.encoders.image.profiles import Profile

Pixels = NDArray[np.uint8]
# Of a picture that is longer than so many times its width, only the middle is resized: the whole would take gigabytes.
_LONGEST = 32
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a network input.

    Attributes
    ----------
    size : int
        Pixels of each side of the input.
    crop : float
        Under `crop` the short side is first resized to size / crop; the rest is cut off around the centre.
    interpolation : {"bicubic", "bilinear"}
    mean, std : tuple of float
        Of each channel, for values in [0, 1]; the network itself subtracts and divides.
    resize : {"crop", "squash"}
        `squash` resizes both sides at once, whatever the picture's shape.
    decode : {"exact", "fast"}
        `fast` lets the JPEG decoder scale by a half, a quarter or an eighth, to no less than the input's size.
    profile : {"srgb"} or None
        What colours are converted to by the profile in the file; None takes the numbers as they are.
    """

    size: int
    crop: float
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: Resize = "crop"
    decode: Decode = "exact"
    profile: Profile | None = None

    def __call__(self, encoded: bytes) -> Pixels:
        """Return the pixels uint8 [size, size, 3] of one encoded picture.

        Raises
        ------
        UndecodableImage
            When the bytes are no picture that the decoder accepts.
        """
        draft = (self.size, self.size) if self.decode == "fast" else None
        image = load_image(encoded, draft=draft, profile=self.profile)
        return self.pixels(image)

    def pixels(self, image: Image.Image) -> Pixels:
        """Return the pixels uint8 [size, size, 3] of a decoded RGB picture."""
        size, resample = (self.size, self.size), self.filter
        if self.resize == "squash":
            return np.asarray(image.resize(size, resample))
        whole, left, top = self._geometry(*image.size)
        if self.decode == "exact" and max(whole) <= _LONGEST * min(whole):
            resized = image.resize(whole, resample)
            return np.asarray(resized.crop((left, top, left + self.size, top + self.size)))
        # What the crop would cut off is never computed. Not for `exact`: Pillow then orders its two passes, between
        # which it rounds to bytes, otherwise than for the whole picture; cosines to that fall to .9999.
        across, down = image.width / whole[0], image.height / whole[1]
        box = left * across, top * down, (left + self.size) * across, (top + self.size) * down
        return np.asarray(image.resize(size, resample, box))

    @property
    def filter(self) -> Image.Resampling:
        """Pillow's name of the interpolation."""
        return FILTERS[self.interpolation]

    def _geometry(self, width: int, height: int) -> tuple[tuple[int, int], int, int]:
        """Return the size that a whole picture is resized to, and left and top of what is cut out of that.

        In whole pixels, as torchvision's Resize and CenterCrop round them.
        """
        short = int(self.size / self.crop)
        whole = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
        left, top = (round((side - self.size) / 2.0) for side in whole)
        return whole, left, top

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record, with a digest of a resampled pattern: another filter is another encoder."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        if values.pop("profile"):  # rows from before there was a choice keep their fingerprint
            values["profile"] = profiles.identity()
        return {**values, "golden": self._golden_digest(), "pillow": pillow_version.partition(".")[0]}

    def _golden_digest(self) -> str:
        grid = np.arange(96 * 128 * 3, dtype=np.uint32).reshape(96, 128, 3)
        pattern = Image.fromarray(((grid * 2654435761 >> 7) % 251).astype(np.uint8))
        resized = pattern.resize((57, 43), self.filter)
        return hashlib.sha256(resized.tobytes()).hexdigest()


def stacked(pictures: Sequence[Pixels]) -> list[Pixels]:
    """Return the one input of a batch: pixels uint8 [n, S, S, 3]."""
    return [np.stack(pictures)]


def trial_pictures(size: int) -> list[Pixels]:
    """Return two pictures uint8 [size, size, 3] to try a network on: patches of colour, and the same under noise."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    side = np.arange(size) * 8 // size
    patches = cells[side][:, side]
    noise = rng.integers(0, 256, patches.shape, dtype=np.uint8)
    return [patches, (patches[::-1] // 2 + noise // 2)]
