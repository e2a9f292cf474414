"""What frozen encoders give for the train rows: each content once, words ragged in a file, and failures by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.fit.context import FitContext, read_rows
from stages.fit.finetune.semantic import read_words, see_pictures
from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.protocol import Encoder
from stages.models.training.checkpoints import Checkpoints
from store.items.manifest import Manifest
from tests.stages.embed.album import Album, picture


def context(tmp_path: Path, captions: list[Any], pictures: list[Any]) -> FitContext:
    album = Album(tmp_path)
    album.write_pairs(captions, pictures)
    rows = read_rows(Inputs.of(Manifest.open(album.manifest), "pair", "caption"), np.arange(len(captions)))
    return FitContext("it", None, 0, rows, "cpu", 2, SilentProgress(), Checkpoints(tmp_path / "states", "it", "0" * 16))


def counted(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many items each call of `encode` gets."""
    sizes: list[int] = []
    encode = encoder.encode

    def noted(batch: Any) -> Any:
        sizes.append(len(batch))
        return encode(batch)

    monkeypatch.setattr(encoder, "encode", noted)
    return sizes


def test_every_picture_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = context(tmp_path, ["a", "b", "c", "d"], [1, 2, 1, b"none"])
    encoder = build_encoder("colorhist", EncoderChoice())
    sizes = counted(encoder, monkeypatch)
    seen = see_pictures(given, encoder, given.rows.fields["image"])
    assert seen.of.tolist() == [0, 1, 0, 2]
    assert sum(sizes) == 2
    assert list(seen.failed) == [2]
    assert seen.failed[2].startswith("UndecodableImage")
    np.testing.assert_array_equal(seen.vectors[:2], encoder.encode(encoder.prepare([picture(1), picture(2)])))
    assert not seen.vectors[2].any()


@pytest.mark.parametrize(
    ("name", "choice", "counts"),
    [("wordvec", {"model": "random", "max_len": 4}, [2, 4, 2, 0]), ("minilm", {"max_len": 6}, [4, 6, 4, 2])],
)
def test_words_come_back_padded_as_the_encoder_gave_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, choice: dict[str, Any], counts: list[int]
) -> None:
    texts = ["two dogs", "one two three four five six", "two dogs", ""]
    given = context(tmp_path, texts, [1, 2, 3, 4])
    encoder = build_encoder(name, EncoderChoice(**choice, tokens=True))
    sizes = counted(encoder, monkeypatch)
    words = read_words(given, encoder, given.rows.fields["caption"], tmp_path / "words")
    assert sum(sizes) == 3
    found, mask = words.tokens(np.arange(4)), words.mask(np.arange(4))
    assert mask.sum(axis=1).tolist() == counts
    assert found.shape == (*mask.shape, encoder.parts[0].width)
    assert not found[~mask].any()
    length, width = encoder.parts[1].shape
    for row, text in enumerate(texts):
        (whole,) = encoder.encode(encoder.prepare([text]))
        states = whole[width : width + length * width].reshape(length, width)[: counts[row]]
        np.testing.assert_allclose(found[row][mask[row]], states, atol=2e-3)
    assert words.tokens(np.zeros(0, np.int64)).shape == (0, *found.shape[1:])


def test_texts_without_any_word(tmp_path: Path) -> None:
    given = context(tmp_path, ["", "!"], [1, 2])
    encoder = build_encoder("wordvec", EncoderChoice(model="random", tokens=True))
    words = read_words(given, encoder, given.rows.fields["caption"], tmp_path / "words")
    assert words.tokens(np.array([0, 1])).shape == (2, 1, 300)
    assert not words.mask(np.array([0, 1])).any()
