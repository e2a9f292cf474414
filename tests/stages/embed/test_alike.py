"""Unequal texts with equal vectors are found and counted, whoever computed the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.embed.alike import Alike, VectorCells, alike

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
