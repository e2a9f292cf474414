"""What a matrix holds besides the vectors, and which texts got one vector."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from stages.embed.export import Alike, VectorCells, alike, arrays_beside, take_apart
from stages.embed.params import EmbedParams, encoder_and_fingerprint
from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Part, Placement, row_width
from store import MatrixArray, cosines
from tests.stages.embed.album import Album, picture

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


THAI = ["สวัสดีครับ", "ขอบคุณมากนะครับ", "วันนี้อากาศดีมาก"]  # one [UNK] each
EMOJI = ["\N{GRINNING FACE}", "\N{POUTING FACE}"]
OPPOSITE = ["I am \N{GRINNING FACE}", "I am \N{POUTING FACE}"]


def found(vectors: np.ndarray, texts: list[str], blocks: int = 3) -> Alike:
    cells = VectorCells(len(vectors), vectors.shape[1])
    for part in np.array_split(np.arange(len(vectors)), blocks):
        cells.add(part, vectors[part])
    return alike(cells, vectors.__getitem__, lambda rows: [texts[row] for row in rows.tolist()], most=7)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), repeated=st.integers(0, 200), scale=st.sampled_from([0.01, 1.0, 30.0]))
def test_repeated_vectors_are_counted_and_others_are_not(seed: int, repeated: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    distinct = rng.standard_normal((500, 64)) * scale
    noise = 1 + 1e-7 * rng.standard_normal((repeated, 64))  # of another batch
    again = distinct[rng.integers(0, 500, repeated)] * noise
    vectors = rng.permutation(np.concatenate([distinct, again])).astype(np.float16)
    result = found(vectors, [f"text {row}" for row in range(len(vectors))])
    assert result.of == len(vectors)
    assert 0.9 * repeated - 1 <= result.texts <= repeated
    assert bool(result.texts) == any(result.example)


def test_case_accents_and_blanks_make_no_other_text_and_zeros_say_nothing() -> None:
    vectors = np.zeros((6, 8), np.float16)
    vectors[:4] = 1
    texts = ["Café  au lait", "cafe au lait", "CAFÉ AU LAIT", "tea", "unknown", "words"]
    assert found(vectors, texts) == Alike(1, 4, ("Café  au lait", "tea"))


@pytest.mark.parametrize(
    ("encoder", "texts", "same", "notes"),
    [
        ("minilm", [*THAI, *EMOJI, *OPPOSITE, "a dog", "A dog"], 5, {"with_unknown_tokens": 7, "mostly_unknown": 5}),
        ("use", [*THAI, *EMOJI, *OPPOSITE], 2, {"with_unknown_tokens": 4, "mostly_unknown": 2}),
    ],
)
def test_signs_beyond_the_vocabulary(album, encoder, texts, same, notes):
    album.write(texts)
    result = album.embed(encoder=encoder)
    assert (result.alike.texts, result.alike.of) == (same, len(texts))
    assert {name: count for name, count in result.notes.items() if name != "truncated"} == notes
    again = album.embed(encoder=encoder)  # from the store: nothing is tokenised, and the vectors say it still
    assert (again.new, again.alike) == (0, result.alike)


def test_equal_vectors_of_pictures_are_not_looked_for(album):
    album.write_pictures([1, 2])
    assert album.embed(encoder="colorhist", field="image").alike == Alike()
