"""The weightless doubles, by facts that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.decoding import UndecodableImage
from stages.models.encoders.protocol import Placement, Runtime
from stages.models.encoders.text.tokens import TEXT_RULE
from store.errors import InputError

# The features of "dog", written down once: other numbers are another encoder, and need another code version.
GOLDEN_BINS, GOLDEN_SIGNS = [26, 37, 51], [-1, -1, 1]


@pytest.fixture(scope="module")
def hashed():
    encoder = build_encoder("hash", EncoderChoice())
    assert encoder.load(Placement()) == Runtime("numpy")
    return encoder


@pytest.fixture(scope="module")
def colours():
    encoder = build_encoder("colorhist", EncoderChoice())
    assert encoder.load(Placement()) == Runtime("numpy")
    return encoder


def test_words_and_pairs_with_the_ends_of_the_text(hashed):
    assert hashed.prepare(["A dog, a cat!", ""]) == [
        ["a", "dog", "a", "cat", "<s> a", "a dog", "dog a", "a cat", "cat </s>"],
        ["<s> </s>"],
    ]


def test_every_text_has_a_unit_vector(hashed, encode):
    texts = ["", "!?", "a", "dog", "dog dog dog", " ".join(map(str, range(500))), *map(str, range(300))]
    vectors = encode(hashed, texts)
    assert vectors.shape == (len(texts), 64)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_one_feature_is_one_signed_bin(hashed, encode):
    (vector,) = encode(hashed, [""])
    assert sorted(np.abs(vector)) == [0] * 63 + [1]
    (vector,) = encode(hashed, ["dog"])
    np.testing.assert_allclose(vector**2 * 3, np.rint(vector**2 * 3), atol=1e-6)


def test_the_order_of_words_matters_and_their_case_does_not(hashed, encode):
    forth, back, loud = encode(hashed, ["dog bites man", "man bites dog", "Dog BITES man"])
    assert not np.array_equal(forth, back)
    np.testing.assert_array_equal(forth, loud)


def test_any_number_of_bins_may_be_asked_for(encode):
    wide = build_encoder("hash", EncoderChoice(dim=1024))
    assert wide.dim == 1024
    wide.load(Placement())
    vectors = encode(wide, ["", "a dog", "nine old trains left the town"])
    assert vectors.shape == (3, 1024)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for dim in (0, 1, 65537):
        with pytest.raises(InputError, match=f"dim: expected 2 to 65536 bins; found {dim}"):
            build_encoder("hash", EncoderChoice(dim=dim))


def test_the_record_of_64_bins_is_the_one_that_stored_vectors_carry():
    record = {"family": "hash", "ngrams": [1, 2], "dim": 64, "text_rule": TEXT_RULE, "code_version": 2}
    assert list(build_encoder("hash", EncoderChoice()).identity().items()) == list(record.items())
    assert build_encoder("hash", EncoderChoice(dim=64)).identity() == record


def test_shared_words_are_nearer(hashed, encode):
    first, second, third = encode(hashed, ["a red umbrella in rain", "a red umbrella in snow", "nine old trains left"])
    assert first @ second > first @ third + 0.3


def test_the_same_in_every_process_and_version(hashed, encode):
    (vector,) = encode(hashed, ["dog"])
    assert np.flatnonzero(vector).tolist() == GOLDEN_BINS
    np.testing.assert_array_equal(np.sign(vector[GOLDEN_BINS]), GOLDEN_SIGNS)


@pytest.mark.parametrize(
    ("colour", "position"),
    [
        ((0, 0, 0), 0),
        ((255, 0, 0), 48),
        ((0, 255, 0), 12),
        ((0, 0, 255), 3),
        ((255, 255, 255), 63),
        ((64, 63, 192), 19),
    ],
)
def test_one_colour_is_one_bin(colours, encode, png, colour, position):
    (vector,) = encode(colours, [png(np.full((3, 5, 3), colour))])
    assert vector.dtype == np.float32
    assert vector.tolist() == [float(place == position) for place in range(64)]


def test_shares_of_colours_sum_to_one(colours, encode, png):
    pixels = np.zeros((4, 4, 3))
    pixels[0] = (255, 0, 0)
    pixels[1:3] = (0, 0, 255)
    (vector,) = encode(colours, [png(pixels)])
    assert (vector[48], vector[3], vector[0]) == (0.25, 0.5, 0.25)
    assert vector.sum() == 1


def test_where_the_colours_are_does_not_matter(colours, encode, png):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3))
    first, second = encode(colours, [png(pixels), png(pixels[::-1, ::-1])])
    np.testing.assert_array_equal(first, second)


def test_bytes_that_are_no_picture_are_refused(colours, png):
    with pytest.raises(UndecodableImage):
        colours.prepare([b"no picture"])
    with pytest.raises(UndecodableImage):
        colours.prepare([png(np.zeros((50, 50, 3)))[:-30]])
