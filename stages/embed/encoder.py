"""The encoder of one `embed` entry and the record of all that causes its vectors; `run` and `worker` build it alike."""

from __future__ import annotations

from pathlib import Path

from stages.embed.params import EmbedParams
from stages.encoders.catalog import build_encoder
from stages.encoders.protocol import Encoder
from store import Fingerprint, VectorType


def stored_type(params: EmbedParams, encoder: Encoder) -> VectorType:
    """Return the type in which the store keeps the rows: bytes as bytes, all else as the params say."""
    return "uint8" if encoder.bytewise else params.dtype


def encoder_and_fingerprint(params: EmbedParams, fitted: Path | None = None) -> tuple[Encoder, Fingerprint]:
    """Build the encoder and the record of all that causes its vectors; nothing heavy is loaded.

    Raises
    ------
    InputError
        When the model's files are not there, or do not go with the other choices.
    """
    encoder = build_encoder(params.encoder, params.choice(fitted))
    record = {
        **encoder.identity(),
        "numeric_contract": params.precision,
        "dtype": stored_type(params, encoder),
        **({} if encoder.zero_rows == "refused" else {"zero_rows": "legal"}),
    }
    return encoder, Fingerprint.of(params.encoder, record)
