"""Decoding at a fraction of the size: as large as asked for, upright, of every colour, and as strict as in full."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from stages.models.encoders.image.decoding import UndecodableImage, decode, load_image
from tests.stages.models.encoders.image.pictures import encoded, gradient, ycck

LARGE = gradient(480, 640)


@pytest.mark.parametrize(
    ("least", "size"),
    [
        ((640, 480), (640, 480)),
        ((321, 100), (640, 480)),
        ((320, 240), (320, 240)),
        ((224, 224), (320, 240)),
        ((120, 120), (160, 120)),
        ((60, 60), (80, 60)),
        ((1, 1), (80, 60)),
        ((0, 0), (80, 60)),
        ((1000, 1000), (640, 480)),
    ],
)
def test_never_less_than_asked_for(least: tuple[int, int], size: tuple[int, int]) -> None:
    assert load_image(encoded(LARGE, "JPEG"), draft=least).size == size


def test_close_to_a_full_decode_that_is_scaled() -> None:
    data = encoded(LARGE, "JPEG", quality=90)
    scaled = load_image(data).resize((160, 120), Image.Resampling.BOX)
    fast = load_image(data, draft=(160, 120))
    assert np.abs(np.asarray(fast, float) - np.asarray(scaled, float)).mean() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_asked_for_as_it_will_stand(orientation: int) -> None:
    turns = [None, *(Image.Transpose(each) for each in (0, 3, 1, 5, 2, 6, 4))]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = turns[orientation - 1]
    data = encoded(LARGE if turn is None else LARGE.transpose(turn), "JPEG", exif=exif, quality=95)
    fast = load_image(data, draft=(300, 200))
    assert fast.size == (320, 240)  # with the sides as they lie in the file, 300 x 200 of 480 x 640 would be refused
    expected = np.asarray(LARGE.resize((320, 240), Image.Resampling.BOX), float)
    assert np.abs(np.asarray(fast, float) - expected).mean() < 3


def test_cmyk_grey_and_progressive_pictures() -> None:
    expected = np.asarray(LARGE.resize((160, 120), Image.Resampling.BOX), float)
    grey = np.asarray(LARGE.convert("L").convert("RGB").resize((160, 120), Image.Resampling.BOX), float)
    for data, meant in (
        (encoded(LARGE.convert("CMYK"), "JPEG", quality=95), expected),
        (ycck(LARGE), expected),
        (encoded(LARGE, "JPEG", progressive=True, quality=95), expected),
        (encoded(LARGE.convert("L"), "JPEG", quality=95), grey),
    ):
        fast = load_image(data, draft=(160, 120))
        assert (fast.mode, fast.size) == ("RGB", (160, 120))
        assert np.abs(np.asarray(fast, float) - meant).mean() < 10


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_decoded_in_full(kind: str) -> None:
    data = encoded(LARGE, kind)
    assert np.array_equal(load_image(data, draft=(60, 60)), load_image(data))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_jpeg_is_refused_all_the_same(share: float, progressive: bool) -> None:
    data = encoded(LARGE, "JPEG", progressive=progressive)
    with pytest.raises(UndecodableImage):
        load_image(data[: int(len(data) * share)], draft=(60, 60))


def test_several_pictures_in_one_jpeg_count_as_animated() -> None:
    data = encoded(LARGE, "MPO", save_all=True, append_images=[LARGE])
    result = decode(data, draft=(160, 120))
    assert (result.animated, result.image.size) == (True, (160, 120))


def test_the_same_bytes_every_time_and_in_every_thread() -> None:
    data = encoded(LARGE, "JPEG", quality=90)
    with ThreadPoolExecutor(4) as pool:
        results = {image.tobytes() for image in pool.map(lambda _: load_image(data, draft=(160, 120)), range(64))}
    assert len(results) == 1


def test_what_is_no_picture_is_refused_in_the_same_words() -> None:
    for data in (b"", b"text", encoded(LARGE, "ICO")):
        reasons = set()
        for draft in (None, (60, 60)):
            with pytest.raises(UndecodableImage) as caught:
                load_image(data, draft=draft)
            reasons.add(caught.value.reason)
        assert len(reasons) == 1
