"""Rows of the catalogue for encoders that need no network library: doubles, `use`, word vectors, pixels."""

from __future__ import annotations

from stages.encoders.image.colorhist import ColorHistogram
from stages.encoders.protocol import Encoder
from stages.encoders.row import EncoderChoice, EncoderRow
from stages.encoders.text.hashing import HashText
from stages.encoders.text.use import USE_MODEL, UniversalSentenceEncoder


def _hash(choice: EncoderChoice) -> Encoder:  # noqa: ARG001 (nothing to choose)
    return HashText()


def _use(choice: EncoderChoice) -> Encoder:  # noqa: ARG001 (nothing to choose)
    return UniversalSentenceEncoder()


def _colorhist(choice: EncoderChoice) -> Encoder:  # noqa: ARG001 (nothing to choose)
    return ColorHistogram()


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
        source="systems.md 2.7: test double",
        options=(),
        build=_hash,
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
        source="systems.md 2.3: packaged multilingual v3 DAN",
        options=(),
        build=_use,
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
        source="systems.md 2.7: test double",
        options=(),
        build=_colorhist,
    ),
)
