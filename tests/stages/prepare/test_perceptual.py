"""The difference hash: exact on drawn pictures, near for copies, far for others, zero for flat ones."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stages.encoders.decoding import load_image
from stages.prepare.perceptual import difference_hash

from .desk import Desk


def drawing(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    dice = np.random.default_rng(seed)
    picture = Image.new("RGB", size, tuple(dice.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        left, top = dice.uniform(0, 0.8, 2) * size
        width, height = dice.uniform(0.1, 0.5, 2) * size
        pen.ellipse((left, top, left + width, top + height), fill=tuple(dice.integers(0, 256, 3).tolist()))
    return picture


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return load_image(buffer.getvalue())


def test_the_bits_stand_row_by_row_and_say_where_it_gets_brighter() -> None:
    grey = np.full((8, 9), 100, np.uint8)
    grey[0] = range(100, 145, 5)  # brighter at every step
    grey[3, 4] = 110  # brighter than its left neighbour, and its right one darker
    grey[7, 8] = 102  # within the margin
    picture = Image.fromarray(grey).convert("RGB").resize((90, 80), Image.Resampling.NEAREST)
    assert difference_hash(picture) == 0xFF << 56 | 1 << (63 - (3 * 8 + 3))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (640, 480)])
def test_flat_pictures_have_no_bit(size: tuple[int, int]) -> None:
    assert difference_hash(Image.new("RGB", size, (200, 10, 10))) == 0
    assert difference_hash(compressed(Image.new("RGB", size, (200, 10, 10)), 30)) == 0


def test_copies_are_near_and_other_pictures_far() -> None:
    hashes = [difference_hash(drawing(seed)) for seed in range(20)]
    for seed, known in enumerate(hashes):
        picture = drawing(seed)
        for copy in (
            compressed(picture, 60),
            picture.resize((160, 120), Image.Resampling.LANCZOS),
            picture.point(lambda value: min(255, value + 8)),
        ):
            assert (difference_hash(copy) ^ known).bit_count() <= 4
    apart = [(a ^ b).bit_count() for place, a in enumerate(hashes) for b in hashes[:place]]
    assert min(apart) > 8


def test_the_manifest_keeps_the_hashes_of_the_pictures_that_were_read(desk: Desk) -> None:
    drawing(1).save(desk.data / "a.png")
    compressed(drawing(1), 80).save(desk.data / "b.jpg")
    desk.put("posts.csv", "id,image,caption,kind\na,a.png,one,x\nb,b.jpg,two,x\nc,,three,x\nd,1.png,four,y\n")
    manifest, _ = desk.prepare()
    hashes, known = manifest.dhashes()
    assert known.tolist() == [True, True, False, True]
    assert hashes[0] == difference_hash(drawing(1))
    assert int(hashes[0] ^ hashes[1]).bit_count() <= 4
    assert hashes[3] == 0
