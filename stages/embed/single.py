"""Encode one raw input that belongs to no data set, as `embed` encodes rows; `diptych search` asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed.export import take_apart
from stages.embed.params import EmbedParams, stored_type
from stages.models.encoders.protocol import Encoder, Raw
from stages.models.encoders.running.batching import Failed, Seconds, encode_stream
from stages.models.encoders.running.engines import Engine, place
from store import row_problems
from store.errors import InputError


@dataclass(frozen=True)
class Single:
    """One encoded input, in the stored type.

    Attributes
    ----------
    vectors : ndarray, [1, D]
    arrays : mapping of str to ndarray, [1, ...]
        What the encoder gives beside the vector, with masks, by the names of a matrix.
    notes : mapping of str to int
        What the encoder counted, such as `truncated`; see `Encoder.notes`.
    """

    vectors: NDArray[Any]
    arrays: Mapping[str, NDArray[Any]]
    notes: Mapping[str, int]


def encode_single(params: EmbedParams, encoder: Encoder, raw: Raw, device: str, engine: Engine) -> Single:
    """Load the model and encode one input.

    Parameters
    ----------
    encoder : Encoder
        As `encoder_and_fingerprint` builds it from `params`.
    raw : str, bytes or both
        A text, the bytes of a picture file, or a pair of them.
    device, engine : str
        The machine's, as in `EmbedSettings`.

    Raises
    ------
    InputError
        When the input cannot be encoded, or says nothing to this encoder.
    RunError
        When the device has no room for it.
    """
    encoder.load(place(encoder, device, engine, params.precision))
    (result,) = encode_stream(encoder, lambda _: raw, 1, 1, Seconds())
    if isinstance(result, Failed):
        raise InputError(f"{params.encoder}: expected a query that can be encoded; found {result.reason}.")
    with np.errstate(over="ignore"):  # an overflow in the cast is caught as non-finite just below
        rows = result.vectors.astype(stored_type(params, encoder))
    (problem,) = row_problems(rows, zero_legal=encoder.zero_rows != "refused")
    vectors, arrays = take_apart(encoder.parts, rows)
    if problem:
        raise InputError(f"{params.encoder}: expected a finite vector of the query; found a {problem} row.")
    if encoder.zero_rows == "absent" and not vectors.any():
        raise InputError(
            f"{params.encoder}: expected a query in which it knows something; found none of it known; say it otherwise."
        )
    return Single(vectors, arrays, dict(encoder.notes()))
