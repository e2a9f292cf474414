"""Colour profiles: what is counted, what is converted by `profile: srgb`, and that nothing changes without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stages.embed.params import EmbedParams
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.image import profiles
from stages.models.encoders.image.decoding import decode, load_image
from stages.models.encoders.image.preprocessing import Preprocessing
from stages.models.encoders.image.profiles import to_srgb
from store import Fingerprint
from tests.stages.models.encoders.image.pictures import P3, SRGB, encoded, gradient, icc

Levels = NDArray[np.float64]
DISPLAY_P3 = icc("Display P3", P3)
GREY = icc("Grey 1.0", (), gamma=1.0)


def linear(levels: Levels) -> Levels:
    share = levels / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def coded(light: Levels) -> Levels:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def p3_in_srgb(pixels: NDArray[np.uint8]) -> Levels:
    """Convert by the two matrices to D50 and back, as the profile's own numbers say."""
    to_white, back = np.array(P3).T, np.linalg.inv(np.array(SRGB).T)
    return coded(linear(pixels.astype(np.float64)) @ (back @ to_white).T)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_display_p3_becomes_srgb_where_that_is_asked_for(kind: str) -> None:
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}, "AVIF": {"quality": 95}}.get(
        kind, {}
    )
    data = encoded(gradient(), kind, icc_profile=DISPLAY_P3, **options)
    plain = np.asarray(load_image(data))
    assert np.array_equal(plain, np.asarray(load_image(encoded(gradient(), kind, **options))))  # as before
    converted = np.asarray(load_image(data, profile="srgb"))
    assert np.abs(converted - p3_in_srgb(plain)).max() < 2
    assert np.abs(converted.astype(int) - plain).max() > 20
    assert decode(data).profile == "Display P3"


def test_transparency_palette_and_orientation_are_kept() -> None:
    clear = gradient().convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    data = encoded(clear, "PNG", icc_profile=DISPLAY_P3)
    alpha = np.asarray(clear.getchannel("A"), float)[..., None] / 255
    on_white = alpha * p3_in_srgb(np.asarray(gradient())) + (1 - alpha) * 255
    assert np.abs(np.asarray(load_image(data, profile="srgb")) - on_white).max() < 2.5
    few = gradient().quantize(16)
    found = np.asarray(load_image(encoded(few, "PNG", icc_profile=DISPLAY_P3), profile="srgb"))
    assert np.abs(found - p3_in_srgb(np.asarray(few.convert("RGB")))).max() < 2
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load_image(encoded(gradient(), "JPEG", icc_profile=DISPLAY_P3, exif=exif), profile="srgb").size == (40, 60)


def test_grey_of_8_and_16_bits() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = coded(ramp / 255)
    for pixels in (ramp, ramp.astype(np.uint16) * 257):
        data = encoded(Image.fromarray(pixels), "PNG", icc_profile=GREY)
        assert np.abs(np.asarray(load_image(data, profile="srgb"))[..., 0] - expected).max() < 2
        assert decode(data).profile == "Grey 1.0"


@pytest.mark.parametrize("profile", [b"", b"no profile", DISPLAY_P3[:200], GREY, icc("sRGB as ever", SRGB)])
def test_no_profile_a_damaged_one_one_for_other_pixels_and_srgb_itself_change_nothing(profile: bytes) -> None:
    data = encoded(gradient(), "PNG", icc_profile=profile)
    assert np.abs(np.asarray(load_image(data, profile="srgb")).astype(int) - np.asarray(gradient())).max() <= 1
    assert decode(data).profile == ""
    assert to_srgb(gradient().convert("HSV")) is None


def test_the_choice_is_part_of_the_fingerprint_only_where_it_is_made() -> None:
    for name in ("efficientnet-lite0", "colorhist", "pixels"):
        entries = [EmbedParams(encoder=name, field="image", **more) for more in ({}, {"profile": "srgb"})]
        plain, chosen = (ENCODERS[name].build(entry.choice()).identity() for entry in entries)
        assert "profile" not in str(plain)
        assert profiles.identity()["to"] in str(chosen)
        assert Fingerprint.of(name, plain).digest != Fingerprint.of(name, chosen).digest


def test_the_identity_before_there_was_a_choice_is_as_it_was() -> None:
    record = Preprocessing(224, 0.875, "bilinear", (0, 0, 0), (1, 1, 1)).identity()
    names = {"size", "crop", "interpolation", "mean", "std", "resize", "decode", "golden", "pillow"}
    assert set(record) == names


def test_vectors_of_converted_pictures_are_those_of_the_srgb_twin() -> None:
    data = encoded(gradient(), "PNG", icc_profile=DISPLAY_P3)
    twin = encoded(load_image(data, profile="srgb"), "PNG")
    for name in ("colorhist", "pixels"):
        plain, converting = (
            ENCODERS[name].build(EmbedParams(encoder=name, field="image", **more).choice())
            for more in ({}, {"profile": "srgb"})
        )
        expected, found, before = plain.prepare([twin])[0], converting.prepare([data])[0], plain.prepare([data])[0]
        assert np.array_equal(found, expected)
        assert not np.array_equal(found, before)
