"""The catalogue of encoders, and the one way to build an encoder from its row and the user's choices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.image import IMAGE_ROWS
from stages.models.encoders.catalog.row import EncoderChoice, EncoderRow, fitted_build
from stages.models.encoders.catalog.text import TEXT_ROWS
from stages.models.encoders.pair.finetuned import FinetunedPair
from stages.models.encoders.protocol import Encoder

FROZEN: dict[str, EncoderRow] = {row.name: row for row in (*TEXT_ROWS, *IMAGE_ROWS) if not row.fitted}
"""The encoders that are never fitted: what `fit` fine-tunes or stands on."""


def frozen_image(options: Mapping[str, Any], seed: int) -> Encoder:
    """Build the frozen image encoder that the options of `bert-pair-ft` name; `seed` draws the weights of `random`."""
    choice = EncoderChoice(options["image_model"], options["image_revision"], seed=seed)
    return FROZEN[options["image_encoder"]].build(choice)


def _pair(folder: Path, choice: EncoderChoice) -> Encoder:
    artefact = Artefact.open(folder, "bert-pair-ft")
    return FinetunedPair(artefact, choice, frozen_image(artefact.options, artefact.seed))


PAIR_ROWS: tuple[EncoderRow, ...] = (
    EncoderRow(
        name="bert-pair-ft",
        kind="pair",
        dim=768,
        model="fit",
        input="64 tokens, the first replaced by what a frozen image encoder sees",
        pooling="tanh pooler of the first token",
        normalisation="none",
        licence="that of the weights it starts from",
        source="paper 2",
        options=("output",),
        build=fitted_build("bert-pair-ft", _pair),
        fitted=True,
    ),
)

ENCODERS: dict[str, EncoderRow] = {row.name: row for row in (*TEXT_ROWS, *IMAGE_ROWS, *PAIR_ROWS)}


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
