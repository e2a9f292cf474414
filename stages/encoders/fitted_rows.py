"""The rows of the encoders that `fit` makes, for the catalogue; each is built from the folder of its artefact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stages.encoders.image.bovw import VisualWords
from stages.encoders.image.convae import AutoencoderLatent
from stages.encoders.protocol import Encoder
from stages.encoders.row import EncoderChoice, EncoderRow
from stages.encoders.text.w2v import WordVectors
from stages.errors import InputError


def fitted_build(name: str, make: Callable[[Path, EncoderChoice], Encoder]) -> Callable[[EncoderChoice], Encoder]:
    """Return what builds an encoder from the folder that `choice.fitted` names, and says what is missing without."""

    def build(choice: EncoderChoice) -> Encoder:
        if choice.fitted is None:
            raise InputError(
                f"encoder {name!r}: expected the entry of `fit` that made its weights; found none; add an entry with "
                f"`encoder: {name}` to the section `fit`, and name it in the section `embed` by `fit: <entry>`."
            )
        return make(choice.fitted, choice)

    return build


FITTED_ROWS: tuple[EncoderRow, ...] = (
    EncoderRow(
        name="w2v",
        kind="text",
        dim=100,
        model="fit",
        input="all words but English stop words, numbers dropped",
        pooling="mean of known words",
        normalisation="none",
        licence="your data's",
        source="paper 3",
        options=(),
        build=fitted_build("w2v", lambda folder, _: WordVectors(folder)),
        fitted=True,
    ),
    EncoderRow(
        name="bovw",
        kind="image",
        dim=256,
        model="fit",
        input="the whole picture in grey",
        pooling="histogram of visual words",
        normalisation="L2",
        licence="your data's",
        source="paper 4",
        options=("map", "regions"),
        build=fitted_build("bovw", VisualWords),
        fitted=True,
    ),
    EncoderRow(
        name="convae",
        kind="image",
        dim=200,
        model="fit",
        input="224 x 224, squash",
        pooling="latent numbers of the autoencoder",
        normalisation="none",
        licence="your data's",
        source="paper 3",
        options=(),
        build=fitted_build("convae", lambda folder, _: AutoencoderLatent(folder)),
        fitted=True,
    ),
)
