"""The row of an item that the matrix of `embed` does not hold, encoded as it encoded those that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from stages.embed.export import take_apart
from stages.embed.params import EmbedParams, encoder_and_fingerprint, stored_type
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.protocol import Encoder, Raw
from stages.models.encoders.running.batching import Failed, Seconds, encode_stream
from stages.models.encoders.running.engines import Engine, place
from stages.models.features.agreement import REMEDY, refuse_stale
from stages.models.features.layout import Input
from store import Matrix, row_problems
from store.errors import InputError
from store.items.manifest import Manifest


@dataclass(frozen=True)
class EmbedNewRow:
    """Encodes one new row at a time.

    Parameters
    ----------
    params : EmbedParams
    manifest : Manifest
        Of the items that the matrix holds.
    matrix : Matrix
        What `embed` made of them.
    fitted : Path, optional
        Folder of what `fit` made, for a fitted encoder.
    device, engine : str
        The machine's, as in `EmbedSettings`.

    Raises
    ------
    InputError
        When the matrix was made from other contents.
    """

    params: EmbedParams
    manifest: Manifest
    matrix: Matrix
    fitted: Path | None
    device: str
    engine: Engine

    def __post_init__(self) -> None:
        inputs = Inputs.of(self.manifest, self.params.row.kind, self.params.field)
        refuse_stale(self.matrix, {"content": inputs.content_digest()})

    def restore(self) -> Self:
        """Build the encoder, which `of` does otherwise; its weights are loaded there.

        Raises
        ------
        InputError
            When its files are not there, or it is not the one that made the matrix.
        """
        _ = self._encoder
        return self

    @cached_property
    def _encoder(self) -> Encoder:
        encoder, fingerprint = encoder_and_fingerprint(self.params, self.fitted)
        found = str(self.matrix.attributes.get("fingerprint"))
        if found != fingerprint.digest:
            raise InputError(
                f"{self.matrix.path}: expected rows of the encoder that params.yaml names (fingerprint "
                f"{fingerprint.digest[:16]}); found those of another ({found[:16]}); {REMEDY}"
            )
        return encoder

    def of(self, raw: Raw) -> tuple[Input, Mapping[str, int]]:
        """Load the model and encode one input.

        Parameters
        ----------
        raw : str, bytes or both
            A text, the bytes of a picture file, or a pair of them.

        Returns
        -------
        Input
            One row [1, ...], in the stored type.
        mapping of str to int
            What the encoder counted, such as `truncated`; see `Encoder.notes`.

        Raises
        ------
        InputError
            When the input cannot be encoded, or says nothing to this encoder; and as `restore` does.
        RunError
            When the device has no room for it.
        """
        encoder, name = self._encoder, self.params.encoder
        encoder.load(place(encoder, self.device, self.engine, self.params.precision))
        (result,) = encode_stream(encoder, lambda _: raw, 1, 1, Seconds())
        if isinstance(result, Failed):
            raise InputError(f"{name}: expected a query that can be encoded; found {result.reason}.")
        with np.errstate(over="ignore"):  # an overflow in the cast is caught as non-finite just below
            rows = result.vectors.astype(stored_type(self.params, encoder))
        (problem,) = row_problems(rows, zero_legal=encoder.zero_rows != "refused")
        vectors, arrays = take_apart(encoder.parts, rows)
        if problem:
            raise InputError(f"{name}: expected a finite vector of the query; found a {problem} row.")
        if encoder.zero_rows == "absent" and not vectors.any():
            raise InputError(
                f"{name}: expected a query in which it knows something; found none of it known; say it otherwise."
            )
        return Input(vectors, arrays, np.ones(1, np.bool_)), dict(encoder.notes())
