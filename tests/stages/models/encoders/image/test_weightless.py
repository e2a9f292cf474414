"""`pixels` keeps the very bytes that torchvision's resize and crop of Pillow pictures give."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision import transforms

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.decoding import UndecodableImage
from stages.models.encoders.protocol import Part, Placement, Runtime
from store.errors import InputError


def pixels(**choices: object):
    encoder = build_encoder("pixels", EncoderChoice(**choices))
    assert encoder.load(Placement()) == Runtime("numpy")
    return encoder


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Photographs upright and lying, odd and even sides, smaller than the input, and noise."""
    china = load_sample_image("china.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (333, 501, 3), dtype=np.uint8)
    return [china, china.transpose(1, 0, 2), china[:301, :302], china[:40, :77], china[:99, :500], noise, noise[:, :99]]


def reference(picture: np.ndarray, size: int, resize: str) -> np.ndarray:
    if resize == "squash":
        steps = [transforms.Resize((size, size))]
    else:
        steps = [transforms.Resize(int(size / 0.875)), transforms.CenterCrop(size)]
    return np.asarray(transforms.Compose(steps)(Image.fromarray(picture))).transpose(2, 0, 1)


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("size", [224, 63])
def test_the_bytes_are_those_of_torchvision(pictures, encode, png, size, resize):
    encoder = pixels(size=size, resize=resize)
    rows = encode(encoder, [png(each) for each in pictures])
    assert rows.dtype == np.float32
    assert encoder.parts == (Part("vectors", (3 * size * size,)),)
    expected = np.stack([reference(each, size, resize) for each in pictures])
    np.testing.assert_array_equal(rows.reshape(expected.shape), expected)


def test_planes_of_red_green_and_blue_lie_one_behind_the_other(encode, png):
    (row,) = encode(pixels(size=2), [png(np.full((5, 7, 3), (250, 30, 10)))])
    assert row.tolist() == [250] * 4 + [30] * 4 + [10] * 4


def test_rows_are_bytes_and_a_black_picture_is_one(encode, png):
    encoder = pixels(size=8)
    assert encoder.bytewise
    assert encoder.zero_rows == "legal"
    assert not encode(encoder, [png(np.zeros((9, 9, 3)))]).any()


def test_the_default_is_224_cropped():
    assert pixels().identity() == pixels(size=224, resize="crop").identity()
    assert pixels().dim == 150_528


def test_memory_is_bounded_whatever_the_size():
    encoder = pixels(size=1024)
    assert encoder.budget * encoder.dim * 4 < 2**28
    with pytest.raises(InputError, match="expected 1 to 1024 pixels; found 1025"):
        pixels(size=1025)
    with pytest.raises(InputError, match="found 0"):
        pixels(size=0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (30_000, 2)])
def test_pictures_of_odd_shape_have_bytes(encode, png, shape):
    (row,) = encode(pixels(size=16), [png(np.full((*shape, 3), 90))])
    assert set(row.tolist()) == {90}


def test_the_fingerprint_follows_the_choices():
    records = [str(pixels(**each).identity()) for each in ({}, {"size": 64}, {"resize": "squash"})]
    assert len(set(records)) == 3


def test_a_truncated_picture_is_refused(png):
    with pytest.raises(UndecodableImage):
        pixels().prepare([png(np.zeros((50, 50, 3)))[:-30]])
