"""Random parts of pictures: seeded, within the picture, as large and as square as promised."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from stages.fit.finetune.pictures import augmented, random_part

RAMP = Image.fromarray(np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8))


def test_equal_seeds_give_equal_pixels() -> None:
    def pixels(seed: int) -> bytes:
        return augmented(RAMP, 32, 0.8, Image.Resampling.BILINEAR, np.random.default_rng(seed)).tobytes()

    assert pixels(3) == pixels(3)
    assert len({pixels(seed) for seed in range(20)}) > 15


def test_mirrored_half_of_the_time() -> None:
    wide = Image.fromarray(np.tile(np.arange(0, 250, dtype=np.uint8)[None, :, None], (250, 1, 3)))
    rng = np.random.default_rng(0)
    rising = [
        np.asarray(augmented(wide, 16, 0.8, Image.Resampling.BILINEAR, rng))[0, [0, -1], 0].tolist() for _ in range(200)
    ]
    assert 70 < sum(left > right for left, right in rising) < 130


@pytest.mark.parametrize("shape", [(80, 60), (60, 80), (64, 64), (7, 5), (1, 1)])
def test_the_part_lies_in_the_picture_and_keeps_its_share(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        left, top, width, height = random_part(*shape, 0.8, rng)
        assert left >= 0
        assert top >= 0
        assert width >= 1
        assert height >= 1
        assert left + width <= shape[0]
        assert top + height <= shape[1]
        assert width * height >= 0.8 * shape[0] * shape[1] - shape[0] - shape[1]


@pytest.mark.parametrize("shape", [(1000, 50), (50, 1000)])
def test_a_long_picture_gives_its_centre(shape: tuple[int, int]) -> None:
    left, top, width, height = random_part(*shape, 0.8, np.random.default_rng(0))
    assert sorted((width, height)) == [50, 67]
    assert (left, top) == ((shape[0] - width) // 2, (shape[1] - height) // 2)
