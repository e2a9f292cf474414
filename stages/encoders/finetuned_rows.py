"""The rows of the encoders that `fit` fine-tunes, for the catalogue; docs/systems/encoders.md#fine-tuned."""

from __future__ import annotations

from pathlib import Path

from stages.encoders.artefact import Artefact
from stages.encoders.finetuned_image import FinetunedImage
from stages.encoders.finetuned_pair import FinetunedPair
from stages.encoders.finetuned_text import FinetunedText
from stages.encoders.fitted_rows import fitted_build
from stages.encoders.image.rows import ARCHITECTURES
from stages.encoders.protocol import Encoder
from stages.encoders.row import EncoderChoice, EncoderRow

_LICENCE = "that of the weights it starts from"


def _text(name: str, pooling: str, length: int, source: str) -> EncoderRow:
    def make(folder: Path, choice: EncoderChoice) -> Encoder:
        return FinetunedText(Artefact.open(folder, name), choice)

    return EncoderRow(
        name=name,
        kind="text",
        dim=768,
        model="fit",
        input=f"{length} tokens",
        pooling=pooling,
        normalisation="none",
        licence=_LICENCE,
        source=source,
        options=("output", "tokens"),
        build=fitted_build(name, make),
        fitted=True,
        empty_text=True,
    )


def _image(name: str, base: str, source: str) -> EncoderRow:
    def make(folder: Path, choice: EncoderChoice) -> Encoder:
        return FinetunedImage(Artefact.open(folder, name), choice)

    shape = ARCHITECTURES[base]
    side = shape.preprocessing.size
    return EncoderRow(
        name=name,
        kind="image",
        dim=shape.pooled,
        model="fit",
        input=f"{side} x {side}, {shape.preprocessing.resize}",
        pooling="global average",
        normalisation="none",
        licence=_LICENCE,
        source=source,
        options=("output", "map"),
        build=fitted_build(name, make),
        fitted=True,
    )


def _pair(folder: Path, choice: EncoderChoice) -> Encoder:
    return FinetunedPair(Artefact.open(folder, "bert-pair-ft"), choice)


_PAIR = EncoderRow(
    name="bert-pair-ft",
    kind="pair",
    dim=768,
    model="fit",
    input="64 tokens, the first replaced by what a frozen image encoder sees",
    pooling="tanh pooler of the first token",
    normalisation="none",
    licence=_LICENCE,
    source="paper 2",
    options=("output",),
    build=fitted_build("bert-pair-ft", _pair),
    fitted=True,
)

FINETUNED_ROWS: tuple[EncoderRow, ...] = (
    _text("bert-ft", "tanh pooler of [CLS]", 64, "paper 0"),
    _text("bge-ft", "[CLS]", 512, "paper 0"),
    _image("resnet152-ft", "resnet152", "paper 0"),
    _image("inceptionv3-ft50", "inceptionv3", "paper 1"),
    _image("resnet50v2-ft50", "resnet50v2", "paper 1"),
    _image("mobilenetv2-ft50", "mobilenetv2", "paper 1"),
    _PAIR,
)
