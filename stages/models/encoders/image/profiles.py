"""Colour profiles: which pictures mean other colours than sRGB, and how those become sRGB; for `decoding`."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageCms, features

Profile = Literal["srgb"]
"""What the colours of a picture are converted to by the profile in its file."""

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # what Pillow calls the colour spaces of profiles
_BASES = {"RGB": "RGB", "RGBA": "RGB", "RGBX": "RGB", "RGBa": "RGB", "P": "RGB", "PA": "RGB", "CMYK": "CMYK"}
_GREYS = ("1", "L", "LA", "La", "I", "F")
_INTENT = ImageCms.Intent.PERCEPTUAL
_ALIKE = 2  # levels of 255: two writings of sRGB itself differ by no more
_NAME = 40
_CACHED = 64

Apply = Callable[[Image.Image], Image.Image]


def identity() -> dict[str, str]:
    """Return what a fingerprint holds of the conversion; nothing where none is asked for."""
    return {"to": "srgb", "intent": "perceptual", "lcms": str(features.version("littlecms2")).partition(".")[0]}


def base_of(mode: str) -> str:
    """Return the mode without transparency and depth ("RGB", "L" or "CMYK"), "" where no profile is for it."""
    return _BASES.get(mode, "L" if mode.partition(";")[0] in _GREYS else "")


def to_srgb(image: Image.Image) -> Apply | None:
    """Return what turns a picture of the mode `base_of(image.mode)` into sRGB, as the profile of `image` says.

    Returns
    -------
    callable or None
        None where the file has no profile, a damaged one, or one for pixels of another kind: such are left alone.
    """
    opened = _opened(_icc(image))
    return opened[1] if opened is not None and opened[0] == base_of(image.mode) else None


def foreign_profile(image: Image.Image) -> str:
    """Return the name of a picture's profile when it means other colours than sRGB; "" otherwise."""
    icc = _icc(image)
    opened = _opened(icc)
    return _foreign(icc) if opened is not None and opened[0] == base_of(image.mode) else ""


def _icc(image: Image.Image) -> bytes:
    found: Any = image.info.get("icc_profile")
    return found if isinstance(found, bytes) else b""


@lru_cache(_CACHED)
def _opened(icc: bytes) -> tuple[str, Apply, str] | None:
    """Return the mode that a profile is for, the conversion, and the profile's name; None for a damaged one."""
    if not icc:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        mode = _MODES[profile.profile.xcolor_space.strip()]
        flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, flags)
        name = (profile.profile.profile_description or "").strip() or "without a name"
    except Exception:  # noqa: BLE001 (damaged profiles raise any of a dozen types, and are never worth losing a picture)
        return None
    return mode, _by_table(transform.apply) if mode == "L" else transform.apply, name[:_NAME]


def _by_table(apply: Apply) -> Apply:
    """Convert the 256 greys once, exactly: what littlecms makes faster is wrong by up to 9 levels in dark greys."""
    bands = apply(Image.fromarray(np.arange(256, dtype=np.uint8)[None])).split()
    tables = [list(band.tobytes()) for band in bands]
    return lambda image: Image.merge("RGB", [image.point(table) for table in tables])


@lru_cache(_CACHED)
def _foreign(icc: bytes) -> str:
    opened = _opened(icc)
    if opened is None:
        return ""
    mode, apply, name = opened
    if mode == "CMYK":
        return name
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    channels = 3 if mode == "RGB" else 1
    pattern = np.stack(np.meshgrid(*[levels] * channels), axis=-1).reshape(1, -1, channels)
    shown = np.asarray(apply(Image.fromarray(pattern if channels > 1 else pattern[..., 0])), np.int16)
    return name if np.abs(shown - pattern).max() > _ALIKE else ""
