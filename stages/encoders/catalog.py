"""The catalogue of encoders as data rows, and the one way to build an encoder from its row and the user's choices."""

from __future__ import annotations

from stages.encoders.finetuned_rows import FINETUNED_ROWS
from stages.encoders.fitted_rows import FITTED_ROWS
from stages.encoders.frozen_rows import FROZEN
from stages.encoders.protocol import Encoder
from stages.encoders.row import EncoderChoice, EncoderRow, Kind

__all__ = ["ENCODERS", "EncoderChoice", "EncoderRow", "Kind", "build_encoder"]

ENCODERS: dict[str, EncoderRow] = {row.name: row for row in (*FROZEN.values(), *FITTED_ROWS, *FINETUNED_ROWS)}


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
