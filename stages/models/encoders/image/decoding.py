"""Turns the bytes of a picture into 8-bit RGB; `prepare` tries every picture with it, the image encoders load by it."""

from __future__ import annotations

import io
import re
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from stages.models.encoders.image.picture_kinds import kind_of
from stages.models.encoders.image.profiles import Profile, base_of, foreign_profile, to_srgb

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
MAX_PIXELS = 89_478_485
"""A quarter of a gibibyte at three bytes a pixel: beyond it lie decompression bombs, not photographs."""

_limits = {"pixels": MAX_PIXELS}
_COUNT = re.compile(r"\((\d+) pixels\)")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


def allow_pixels(most: int) -> None:
    """Take pictures of up to so many pixels (`prepare.max_pixels`), in this process and from now on."""
    _limits["pixels"] = most
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow warns beyond its own limit, and refuses at twice that
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, most)


def allowed_pixels() -> int:
    """Return what `allow_pixels` said last, for a worker to take as many."""
    return _limits["pixels"]


class UndecodableImage(ValueError):  # noqa: N818 (the name says what went wrong with what)
    """The bytes are no picture that can be decoded.

    Attributes
    ----------
    reason : str
        Why, in a few words that are the same in every run.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Decoded(NamedTuple):
    """A picture and what its file held: more frames than this one, pixels of this mode as Pillow names it, a profile.

    `profile` is the name of one that means other colours than sRGB, "" where there is none.
    """

    image: Image.Image
    animated: bool
    mode: str
    profile: str


def load_image(encoded: bytes, *, draft: tuple[int, int] | None = None, profile: Profile | None = None) -> Image.Image:
    """Decode a picture into 8-bit RGB, upright.

    Parameters
    ----------
    encoded : bytes
        The whole file: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF or JPEG 2000, recognised by its content.
    draft : tuple of int, optional
        The least (width, height) that the caller needs of the upright picture. A JPEG is then decoded at 1/2, 1/4 or
        1/8 of its size where that is not less, several times as fast, and a little unlike a full decode that is
        scaled afterwards. Other formats are decoded in full.
    profile : {"srgb"}, optional
        Convert the colours by the profile in the file, where there is one that can be read; by default its numbers are
        taken as they are.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB", with the EXIF orientation applied, transparency laid on white, and the first frame of an animation.
        Deeper pixels are scaled and never clipped: 16-bit by 1/257; 32-bit integers as 16-bit where they fit, else
        stretched from minimum to maximum; floats in [0, 1] by 255, in [0, 255] as they are, in [0, 65535] by 1/257,
        else stretched.

    Raises
    ------
    UndecodableImage
        For anything else: another format, a truncated or damaged file, more than `allowed_pixels()` pixels.
    """
    return decode(encoded, draft=draft, profile=profile).image


def decode(encoded: bytes, *, draft: tuple[int, int] | None = None, profile: Profile | None = None) -> Decoded:
    """Decode as `load_image` does, and tell what else the file held."""
    if not encoded:
        raise UndecodableImage("the file is empty")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            _refuse_bomb(image)
            animated = bool(getattr(image, "is_animated", False))
            mode, foreign = image.mode, foreign_profile(image)
            if draft is not None:
                _ask_for_less(image, draft)
            image.load()  # decodes every pixel, so that a truncated file fails here; verify() would not notice
            return Decoded(_turn_upright(_to_rgb(image, profile), _orientation(image)), animated, mode, foreign)
    except (UndecodableImage, MemoryError):
        raise
    except UnidentifiedImageError:
        # Pillow's own text holds the address of the buffer, which differs from run to run.
        raise UndecodableImage(f"not one of {', '.join(FORMATS)}{kind_of(encoded)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = _COUNT.search(str(error))
        raise _too_large(f"{int(found[1]):,}" if found else "far too many") from None
    except Exception as error:  # Pillow's decoders raise any of a dozen types on damaged bytes
        raise UndecodableImage(f"damaged: {error}" if str(error) else f"damaged: {type(error).__name__}") from error


def _refuse_bomb(image: Image.Image) -> None:
    """Refuse by the size that the header declares, before any pixel is decoded."""
    width, height = image.size
    if width * height > _limits["pixels"]:
        raise _too_large(f"{width} x {height}")
    if width * height == 0:
        raise UndecodableImage("no pixels")


def _too_large(size: str) -> UndecodableImage:
    return UndecodableImage(
        f"too large: {size} pixels, more than {_limits['pixels']:,}; shrink it, or raise prepare.max_pixels"
    )


def _ask_for_less(image: Image.Image, least: tuple[int, int]) -> None:
    """Let libjpeg scale while it decodes, to no less than `least`; formats other than JPEG have no such thing."""
    # The file holds the picture as it lay in the camera, so a turned one is asked for with its sides swapped.
    width, height = least[::-1] if _orientation(image) in _SIDEWAYS else least
    image.draft(None, (max(1, width), max(1, height)))


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation of a loaded picture; broken EXIF says nothing, so the picture stays as it is."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 (damaged EXIF raises any of a dozen types, and is never worth losing a picture)
        return 1


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image, profile: Profile | None) -> Image.Image:
    convert = to_srgb(image) if profile else None
    base = base_of(image.mode)
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        image = image.convert("RGBA")
        if convert is not None:
            image = _with_alpha(convert(image.convert("RGB").convert(base)), image.getchannel("A"))
        return _on_white(image)
    if convert is not None:
        return convert(image.convert(base))
    if image.mode == "RGB":
        return image.copy()  # a plain picture that no longer hangs on the file it came from
    return image.convert("RGB")


def _with_alpha(image: Image.Image, alpha: Image.Image) -> Image.Image:
    image.putalpha(alpha)
    return image


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _to_eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Scale one channel [H,W] of 16-bit, 32-bit or float pixels into uint8 [H,W], never clipping."""
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise UndecodableImage("pixels that are not finite numbers")
    offset, scale = _scale(low, high, is_float=pixels.dtype.kind == "f")
    return np.rint((pixels.astype(np.float64) - offset) * scale).astype(np.uint8)


def _scale(low: float, high: float, *, is_float: bool) -> tuple[float, float]:
    """Choose (offset, scale) by the documented rule, from the range that the pixels use."""
    if low < 0 or high > 65535:
        return low, 255.0 / (high - low) if high > low else 0.0
    if is_float and high <= 1:
        return 0.0, 255.0
    if is_float and high <= 255:
        return 0.0, 1.0
    return 0.0, 1 / 257
