"""Word vectors from files written by hand and by gensim: what is read, what is refused, what a row holds."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Part, Placement, Runtime, row_width
from stages.models.encoders.text.vector_files import read_dim, read_vectors
from store.errors import InputError

GLOVE = "a 1 0 0\ndog 0 1 0\nred 0.5 -2e-1 3\n"
Open = Callable[..., object]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Build and load the encoder of a file with this content."""

    def run(content: str | bytes, name: str = "vectors.txt", **choices: object):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        encoder = build_encoder("wordvec", EncoderChoice(model=str(path), **choices))
        assert encoder.load(Placement()) == Runtime("numpy")
        return encoder

    return run


def split(encoder, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return mean [D], words [max_len, D] and their number."""
    mean, words = row[: encoder.width], row[encoder.width : -1]
    return mean, words.reshape(encoder.max_len, encoder.width), int(row[-1])


def test_a_row_is_the_mean_of_known_words_and_each_word_in_order(opened, encode):
    encoder = opened(GLOVE, max_len=5)
    assert encoder.parts == (Part("vectors", (3,)), Part("tokens", (5, 3), counted=True))
    assert encoder.dim == row_width(encoder.parts) == 3 + 5 * 3 + 1
    (row,) = encode(encoder, ["A red, unheard-of DOG!"])
    assert row.dtype == np.float32
    mean, words, count = split(encoder, row)
    known = {"a": [1, 0, 0], "red": [0.5, -0.2, 3], "dog": [0, 1, 0]}
    np.testing.assert_allclose(words, [known["a"], known["red"], [0] * 3, [0] * 3, known["dog"]], atol=1e-6)
    np.testing.assert_allclose(mean, np.mean(list(known.values()), axis=0), atol=1e-6)
    assert count == 5


def test_only_max_len_words_count_and_the_cut_is_noted(opened, encode):
    encoder = opened(GLOVE, max_len=2)
    rows = encode(encoder, ["a dog red", "a dog", "zebra", ""])
    np.testing.assert_array_equal(rows[0], rows[1])
    assert [split(encoder, row)[2] for row in rows] == [2, 2, 1, 0]
    assert encoder.notes() == {"tokens": 5, "oov_tokens": 1, "truncated": 1}


def test_without_tokens_a_row_is_the_mean_alone(opened, encode):
    whole, mean = opened(GLOVE), opened(GLOVE, tokens=False)
    assert mean.dim == 3
    assert whole.dim == 3 + 32 * 3 + 1
    np.testing.assert_array_equal(encode(mean, ["a dog"])[0], encode(whole, ["a dog"])[0, :3])
    assert mean.identity() != whole.identity()


def test_a_text_of_unknown_words_is_absent(opened, encode):
    encoder = opened(GLOVE, tokens=False)
    assert encoder.zero_rows == "absent"
    assert not encode(encoder, ["", "?!", "zebra crossing", "犬"]).any()
    assert encode(encoder, ["zebra dog"]).any()


def test_words_are_lower_case_letters_and_digits_with_one_apostrophe(opened):
    encoder = opened(GLOVE)
    assert encoder.prepare(["The dog's 2 O'Neill-like café; it''s DON'T"]) == [
        ["the", "dog's", "2", "o'neill", "like", "caf", "it", "s", "don't"]
    ]


def test_a_fasttext_header_and_gzip_read_the_same(opened, encode):
    texts = ["a red dog", "zebra"]
    expected = encode(opened(GLOVE), texts)
    for encoder in (
        opened("3 3\n" + GLOVE, "vectors.vec"),
        opened(gzip.compress(GLOVE.encode()), "vectors.txt.gz"),
        opened(gzip.compress(b"3 3\n" + GLOVE.encode()), "vectors.gz"),
        opened(GLOVE.replace("\n", " \r\n"), "vectors.txt"),
        opened(GLOVE.rstrip(), "vectors.txt"),
    ):
        np.testing.assert_array_equal(encode(encoder, texts), expected)


def test_of_a_repeated_word_the_first_line_counts(opened, encode):
    encoder = opened(GLOVE + "dog 9 9 9\n", tokens=False)
    assert encode(encoder, ["dog"]).tolist() == [[0, 1, 0]]


def test_tokens_with_spaces_and_other_scripts_are_passed_over(opened, encode):
    encoder = opened(
        GLOVE + ". . . 7 7 7\nat name@domain.com 7 7 7\ncafé 7 7 7\n\u00a0 7 7 7\nbird 1 2 3\n", tokens=False
    )
    assert encode(encoder, ["bird"]).tolist() == [[1, 2, 3]]


def test_more_words_than_one_block_holds(opened, encode):
    lines = [f"w{number} {number} 1" for number in range(40_000)]
    encoder = opened("\n".join(lines), tokens=False)
    assert encode(encoder, ["w0", "w16383", "w16384", "w39999", "w39999 w1"]).tolist() == [
        [0, 1], [16383, 1], [16384, 1], [39999, 1], [20000, 1],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a token and its numbers in line 1"),
        ("word\n", "expected a token and its numbers in line 1"),
        (GLOVE + "cat 1 2\n", "expected a token and 3 numbers in line 4 of 'vectors.txt'; found 2 after the token"),
        (GLOVE + "\n" + GLOVE, "expected a token and 3 numbers in line 4"),
        (GLOVE + " 1 2 3\n", "expected a token and 3 numbers in line 4"),
        (GLOVE + "cat 1 2 x\n", "expected 3 numbers in line 4 .*could not convert"),
        (GLOVE + "cat 1  2\n", "expected 3 numbers in line 4"),
        (GLOVE + "cat 1 2 nan\n", "expected 3 finite numbers in line 4"),
        (GLOVE + "cat 1 2 1e99\n", "expected 3 finite numbers in line 4"),
        ("9 3\n" + GLOVE, "as many vectors as this line says, 9 in line 1 .*found 3"),
        ("2 3\n" + GLOVE, "as many vectors as this line says, 2 in line 1 .*found 3"),
        ("3 4\n" + GLOVE, "expected a token and 4 numbers in line 2"),
        (GLOVE + "x" * 200_000, "expected a line of less than 131072 bytes in line 4"),
        (gzip.compress(GLOVE.encode() * 9000)[:-9], "expected more of a sound file in line"),
        (gzip.compress(GLOVE.encode(), mtime=0)[:20], "expected"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(opened, content, message):
    with pytest.raises(InputError, match=message):
        opened(content)


def test_a_model_must_be_given_and_be_a_file(tmp_path):
    with pytest.raises(InputError, match="wordvec has none of its own"):
        build_encoder("wordvec", EncoderChoice())
    with pytest.raises(InputError, match="expected a file of word vectors; found the folder"):
        build_encoder("wordvec", EncoderChoice(model=str(tmp_path)))


@pytest.mark.parametrize("max_len", [0, 2049])
def test_as_many_words_as_float16_can_count_are_kept(max_len):
    with pytest.raises(InputError, match=f"expected 1 to 2048 words; found {max_len}"):
        build_encoder("wordvec", EncoderChoice(model="random", max_len=max_len))
    longest = build_encoder("wordvec", EncoderChoice(model="random", max_len=2048))
    assert longest.budget * longest.dim * 4 <= 2**25


def test_the_fingerprint_follows_content_and_choices(opened):
    records = [
        opened(GLOVE).identity(),
        opened(GLOVE.replace("3", "4")).identity(),
        opened(GLOVE, max_len=9).identity(),
        build_encoder("wordvec", EncoderChoice(model="random")).identity(),
        build_encoder("wordvec", EncoderChoice(model="random", seed=1)).identity(),
    ]
    assert len({str(sorted(each.items())) for each in records}) == len(records)
    assert opened(GLOVE).identity() == records[0]


def test_random_vectors_know_every_word_and_repeat(encode):
    first, second = (build_encoder("wordvec", EncoderChoice(model="random", max_len=4)) for _ in range(2))
    for encoder in (first, second):
        encoder.load(Placement())
    texts = ["a dog", "dog a", "zebra"]
    rows = encode(first, texts)
    np.testing.assert_array_equal(rows, encode(second, texts))
    np.testing.assert_allclose(rows[0, :300], rows[1, :300], atol=1e-6)
    assert not np.allclose(rows[0, 300:], rows[1, 300:])
    assert first.notes()["oov_tokens"] == 0


@pytest.fixture(scope="module")
def fasttext(tmp_path_factory):
    """A small real fastText model, and its file in fastText's own format."""
    models = pytest.importorskip("gensim.models.fasttext")
    sentences = [["a", "red", "dog", "barks"], ["two", "dogs", "barking"], ["red", "umbrella", "in", "rain"]] * 20
    model = models.FastText(sentences, vector_size=12, min_count=1, bucket=500, epochs=3, seed=1, workers=1)
    path = tmp_path_factory.mktemp("fasttext") / "model.bin"
    models.save_facebook_model(model, str(path))
    return model, path


def test_a_fasttext_model_knows_words_by_their_parts(fasttext, encode):
    model, path = fasttext
    encoder = build_encoder("wordvec", EncoderChoice(model=str(path), tokens=False))
    encoder.load(Placement())
    assert encoder.width == 12
    rows = encode(encoder, ["dog", "umbrellas", "dog umbrellas"])  # umbrellas was never seen
    np.testing.assert_allclose(rows[0], model.wv["dog"], atol=1e-6)
    np.testing.assert_allclose(rows[1], model.wv["umbrellas"], atol=1e-6)
    np.testing.assert_allclose(rows[2], (rows[0] + rows[1]) / 2, atol=1e-6)
    assert rows[1].any()
    assert encoder.notes()["oov_tokens"] == 0
    assert encoder.identity()["gensim"]


def test_fasttext_without_ngrams_does_not_know_a_new_word(tmp_path):
    models = pytest.importorskip("gensim.models.fasttext")
    model = models.FastText([["red", "dog"]] * 9, vector_size=4, min_count=1, bucket=0, max_n=0, epochs=1, workers=1)
    models.save_facebook_model(model, str(tmp_path / "model.bin"))
    vectors = read_vectors(tmp_path / "model.bin")
    assert vectors.find("umbrella") is None
    np.testing.assert_allclose(vectors.find("dog"), model.wv["dog"], atol=1e-6)


def test_a_damaged_binary_file_is_refused(fasttext, tmp_path):
    whole = fasttext[1].read_bytes()
    other = tmp_path / "model.bin"
    for content in (b"", b"a 1 2 3\n", struct.pack("=3i", 793_712_314, 12, 0)):
        other.write_bytes(content)
        with pytest.raises(InputError, match=r"because its name ends in \.bin; found another beginning"):
            read_dim(other)
    for length in (20, 200, len(whole) // 2):
        other.write_bytes(whole[:length])
        with pytest.raises(InputError, match="expected a whole model in fastText's binary format"):
            read_vectors(other)
