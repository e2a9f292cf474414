"""Rows of the catalogue for encoders that need no network library: doubles, `use`, word vectors, pixels."""

from __future__ import annotations

from stages.encoders.image.colorhist import ColorHistogram
from stages.encoders.image.pixels import PixelImage
from stages.encoders.protocol import Encoder
from stages.encoders.row import RANDOM, UNPUBLISHED, EncoderChoice, EncoderRow
from stages.encoders.text.hashing import HashText
from stages.encoders.text.use import USE_MODEL, UniversalSentenceEncoder
from stages.encoders.text.use_random import RandomUseDan, RandomUseTransformer
from stages.encoders.text.wordvec import WordVectorText
from stages.errors import InputError

_USE_VARIANTS = ("dan", "transformer")
# The number of words is kept in the type of the vectors: float16 counts to 2,048.
_MOST_WORDS = 2048


def _hash(choice: EncoderChoice) -> Encoder:
    return HashText(64 if choice.dim is None else choice.dim)


def _use(choice: EncoderChoice) -> Encoder:
    variant = choice.variant or "dan"
    if variant not in _USE_VARIANTS:
        raise InputError(f"variant: expected one of {', '.join(_USE_VARIANTS)}; found {variant!r}; correct it.")
    if choice.model == RANDOM:
        return (RandomUseDan if variant == "dan" else RandomUseTransformer)(choice.seed or 0)
    if variant == "transformer":
        raise InputError(
            "variant: expected dan, the only variant of use that has weights here; found 'transformer'; choose dan, "
            "set model to random, or take minilm or bge for a trained transformer."
        )
    return UniversalSentenceEncoder(choice.model or USE_MODEL)


def _wordvec(choice: EncoderChoice) -> Encoder:
    if choice.model is None:
        raise InputError(
            "model: expected a file of word vectors, since wordvec has none of its own; found no model; give the path "
            "of a GloVe or fastText file (.txt, .vec, .gz, .bin), or random."
        )
    max_len = 32 if choice.max_len is None else choice.max_len
    if not 1 <= max_len <= _MOST_WORDS:
        raise InputError(f"max_len: expected 1 to {_MOST_WORDS} words; found {max_len}; 32 is usual for captions.")
    keep_tokens = True if choice.tokens is None else choice.tokens
    return WordVectorText(choice.model, choice.seed or 0, max_len, tokens=keep_tokens)


def _colorhist(choice: EncoderChoice) -> Encoder:
    return ColorHistogram(choice.profile)


def _pixels(choice: EncoderChoice) -> Encoder:
    return PixelImage(224 if choice.size is None else choice.size, choice.resize or "crop", choice.profile)


SIMPLE_ROWS: tuple[EncoderRow, ...] = (
    EncoderRow(
        name="hash",
        kind="text",
        dim=64,
        model="none",
        input="the whole text",
        pooling="signed counts of words and word pairs",
        normalisation="L2",
        licence="Apache-2.0",
        source="ours: for tests; the bag of words of paper 0",
        options=("dim",),
        build=_hash,
        empty_text=True,
    ),
    EncoderRow(
        name="use",
        kind="text",
        dim=512,
        model=USE_MODEL,
        input="20,000 characters",
        pooling="sum of the pieces' n-gram features over the root of their number",
        normalisation="L2",
        licence="Apache-2.0",
        source="paper 1; packaged multilingual v3 DAN",
        options=("model", "seed", "variant"),
        build=_use,
        empty_text=True,
    ),
    EncoderRow(
        name="wordvec",
        kind="text",
        dim=300,
        model=UNPUBLISHED,
        input="32 words",
        pooling="mean of known words; tokens: each word",
        normalisation="none",
        licence="that of the file given as model",
        source="paper 2; GloVe or fastText",
        options=("model", "seed", "max_len", "tokens"),
        build=_wordvec,
    ),
    EncoderRow(
        name="colorhist",
        kind="image",
        dim=64,
        model="none",
        input="the whole picture",
        pooling="histogram of 4 x 4 x 4 colours",
        normalisation="L1",
        licence="Apache-2.0",
        source="ours: for tests",
        options=("profile",),
        build=_colorhist,
    ),
    EncoderRow(
        name="pixels",
        kind="image",
        dim=3 * 224 * 224,
        model="none",
        input="224 x 224, crop",
        pooling="none",
        normalisation="none: bytes",
        licence="Apache-2.0",
        source="papers 0 and 3",
        options=("size", "resize", "profile"),
        build=_pixels,
    ),
)
