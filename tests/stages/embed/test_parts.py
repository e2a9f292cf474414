"""Rows of several parts become arrays beside the vectors, and rows of zeros what their encoder says they mean."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from stages.embed.encoder import encoder_and_fingerprint
from stages.embed.params import EmbedParams
from stages.embed.parts_of_rows import arrays_beside, take_apart
from stages.encoders.catalog import build_encoder
from stages.encoders.protocol import Part, Placement, row_width
from stages.encoders.row import EncoderChoice
from store import MatrixArray, cosines

from .album import Album, picture

GLOVE = "a 1 0 0\ndog 0 1 0\nred 0.5 -2e-1 3\n"
PARTS = (Part("vectors", (2,)), Part("tokens", (3, 2), counted=True), Part("map", (2, 1, 2)))


def test_a_row_is_taken_apart_in_the_order_of_its_parts():
    rows = np.arange(2 * row_width(PARTS), dtype=np.float32).reshape(2, -1)
    rows[:, 8] = [0, 2]  # how many tokens are filled
    vectors, arrays = take_apart(PARTS, rows)
    np.testing.assert_array_equal(vectors, rows[:, :2])
    np.testing.assert_array_equal(arrays["tokens"], rows[:, 2:8].reshape(2, 3, 2))
    np.testing.assert_array_equal(arrays["token_mask"], [[False] * 3, [True, True, False]])
    np.testing.assert_array_equal(arrays["map"], rows[:, 9:].reshape(2, 2, 1, 2))
    assert arrays_beside(PARTS, "float16") == [
        MatrixArray("tokens", (3, 2), "float16"),
        MatrixArray("token_mask", (3,), "bool"),
        MatrixArray("map", (2, 1, 2), "float16"),
    ]


def test_a_row_of_one_part_is_its_vector():
    vectors, arrays = take_apart(PARTS[:1], np.ones((3, 2), np.float32))
    assert vectors.shape == (3, 2)
    assert arrays == {}
    assert arrays_beside(PARTS[:1], "float32") == []


def test_tokens_of_absent_and_repeated_texts(album: Album):
    album.write(["two dogs", None, "two dogs", "one red cat ran over there"])
    album.embed(encoder="minilm", tokens=True, max_len=6, dtype="float32")
    matrix, everything = album.matrix(), slice(0, 4)
    assert matrix.arrays == {"tokens": ((6, 384), "float32"), "token_mask": ((6,), "bool")}
    masks, states = matrix.read_array("token_mask", everything), matrix.read_array("tokens", everything)
    assert masks.sum(axis=1).tolist() == [4, 0, 4, 6]
    assert not states[~masks].any()
    assert np.abs(states[masks]).sum(axis=1).min() > 0
    np.testing.assert_array_equal(states[0], states[2])
    # The vector of an absent text is that of the empty one; its tokens are nobody's.
    np.testing.assert_array_equal(matrix[1:2][0], matrix.missing_vector)
    for row in (0, 3):
        mean = states[row][masks[row]].mean(axis=0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), matrix[row : row + 1][0], atol=1e-6)


@pytest.mark.parametrize(("output", "width"), [("pooled", 512), ("logits", 1000)])
def test_maps_of_absent_and_failed_pictures(album: Album, output: str, width: int):
    album.write_files([picture(0), None, picture(1)[:-30], picture(2)])
    album.embed(
        encoder="resnet18", field="image", model="random", size=96, map=True, output=output, dtype="float32",
        max_failed_share=0.5,
    )  # fmt: skip
    matrix = album.matrix()
    assert (len(matrix), matrix.dim) == (4, width)
    assert matrix.arrays == {"map": ((512, 3, 3), "float32")}
    maps = matrix.read_array("map", np.array([0, 1, 2, 3]))
    assert not maps[1:3].any()
    if output == "pooled":
        np.testing.assert_allclose(maps.mean(axis=(2, 3)), matrix[0:4], rtol=1e-3, atol=1e-5)


def test_a_text_of_unknown_words_counts_as_absent(album: Album, tmp_path: Path):
    (tmp_path / "vectors.txt").write_text(GLOVE)
    album.write(["a red dog", "zebra", None, "", "dog zebra"])
    asked = {"encoder": "wordvec", "model": str(tmp_path / "vectors.txt"), "max_len": 4, "dtype": "float32"}
    result = album.embed(**asked)
    assert result.failed == 0
    matrix = album.matrix()
    assert matrix.present.tolist() == matrix.ok.tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(matrix[0:5].any(axis=1), matrix.present)
    np.testing.assert_allclose(matrix[4:5][0], [0, 1, 0], atol=1e-6)
    masks = matrix.read_array("token_mask", slice(0, 5))
    assert masks.sum(axis=1).tolist() == [3, 0, 0, 0, 2]
    assert (album.card()["present"], album.card()["ok"], album.card()["failed"]) == (2, 2, 0)
    assert album.failed() == []
    again = album.embed(**asked)
    assert (again.new, again.failed) == (0, 0)  # that a text says nothing is known from now on
    assert encoder_and_fingerprint(EmbedParams(field="caption", **asked))[1].record["zero_rows"] == "legal"


@pytest.mark.parametrize(
    "choice",
    [
        {"map": True}, {"output": "logits"}, {"resize": "squash"}, {"scale": "unit"}, {"size": 96}, {"decode": "fast"},
        {"precision": "fast"}, {"dtype": "float32"}, {"model": "random"},
    ],
    ids=lambda each: next(iter(each)),
)  # fmt: skip
def test_each_choice_of_a_picture_is_another_encoder_and_gives_other_rows(choice):
    fingerprints = [
        encoder_and_fingerprint(EmbedParams(encoder="efficientnet-lite0", field="image", **made))[1]
        for made in ({}, choice)
    ]
    assert fingerprints[0].digest != fingerprints[1].digest


def test_tokens_are_another_encoder():
    plain, tokens = (
        encoder_and_fingerprint(EmbedParams(encoder="minilm", field="caption", tokens=each))[1] for each in (None, True)
    )
    assert [each.partition(":")[0] for each in plain.differences(tokens)] == ["parts"]


def test_seeds_are_other_encoders():
    asked = {"encoder": "resnet18", "field": "image", "model": "random"}
    prints = {encoder_and_fingerprint(EmbedParams(**asked, seed=seed))[1].digest for seed in (None, 0, 1)}
    assert len(prints) == 2  # none is 0


def photograph(name: str, *, enlarged: int) -> bytes:
    image = Image.fromarray(load_sample_image(name))
    buffer = io.BytesIO()
    image.resize((image.width * enlarged, image.height * enlarged), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("enlarged", [1, 3])
def test_a_jpeg_that_is_decoded_fast_has_nearly_the_same_vector(enlarged):
    photographs = [photograph(name, enlarged=enlarged) for name in ("china.jpg", "flower.jpg")]
    encoders = [build_encoder("efficientnet-lite0", EncoderChoice(decode=each)) for each in ("exact", "fast")]
    for encoder in encoders:
        encoder.load(Placement())
    exact, fast = (encoder.encode(encoder.prepare(photographs)) for encoder in encoders)
    assert cosines(exact, fast).min() >= 0.99
    assert not np.array_equal(exact, fast)


def test_resize_and_scale_change_the_vector():
    photographs = [photograph("china.jpg", enlarged=1)]
    vectors = []
    for made in ({}, {"resize": "squash"}, {"scale": "unit"}, {"size": 96}):
        encoder = build_encoder("efficientnet-lite0", EncoderChoice(**made))
        encoder.load(Placement())
        vectors.append(encoder.encode(encoder.prepare(photographs))[0])
    similar = np.corrcoef(vectors)[np.triu_indices(4, 1)]
    assert similar.max() < 0.9999
