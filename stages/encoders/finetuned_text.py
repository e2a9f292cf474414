"""A fine-tuned transformer from what `fit` wrote: its vectors, or the scores of the classes that it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from stages.encoders.artefact import Artefact
from stages.encoders.protocol import Part, Placement, Rows, Runtime
from stages.encoders.row import EncoderChoice, Output
from stages.encoders.text.transformer import TransformerText
from stages.errors import InputError

HEAD, BASE = "head.safetensors", "base.json"


class FinetunedText(TransformerText):
    """A transformer with the weights of an artefact, prepared and run as the one that it was made from.

    Parameters
    ----------
    artefact : Artefact
        A folder in the Hugging Face layout, and the classifier `head.safetensors` beside it.
    choice : EncoderChoice
        `output`: the pooled vector, never normalised, or the logits [K]. `tokens`: the last layer besides the vector.
    """

    def __init__(self, artefact: Artefact, choice: EncoderChoice) -> None:
        options = artefact.options
        self.artefact = artefact
        self.output: Output = choice.output or "pooled"
        super().__init__(
            str(artefact.folder), options["pool"], options["max_len"], normalise=False, tokens=bool(choice.tokens)
        )
        if self.output == "logits":
            self._refuse_tokens(choice)
            self.dim = _classes(artefact.folder / HEAD)
            self.parts = (Part("vectors", (self.dim,)),)

    def _refuse_tokens(self, choice: EncoderChoice) -> None:
        if choice.tokens:
            raise InputError(
                "tokens: expected `output: pooled` with `tokens: true`; found `output: logits`, which have no tokens; "
                "remove one of them, or add a second entry."
            )

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: the transformer's, and what was fitted."""
        record = dict(super().identity())
        return {
            **record,
            "family": "fine-tuned transformer",
            "output": self.output,
            "fitted": dict(self.artefact.identity()),
        }

    def load(self, placement: Placement) -> Runtime:
        """Load the network, and the classifier [K, D] where its scores are asked for."""
        if self.output == "logits":
            head = load_file(self.artefact.folder / HEAD)
            self._weight, self._bias = head["weight"], head["bias"]
        return super().load(placement)

    def encode(self, batch: Sequence[list[int]]) -> Rows:
        """Return the rows [n, dim]."""
        rows = super().encode(batch)
        if self.output == "pooled":
            return rows
        logits: NDArray[np.float32] = rows @ self._weight.T + self._bias
        return logits


def _classes(head: Path) -> int:
    with safe_open(head, "numpy") as file:
        return int(file.get_slice("weight").get_shape()[0])
