"""The weightless text double (`hash`): signed feature hashing of words and word pairs; systems.md 2.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.encoders.protocol import Vectors
from stages.encoders.text.normalise import TEXT_RULE, normalise_text

_CODE_VERSION = 1


class HashText:
    """64-d L2-normalised hashed bag of words and bigrams; for tests and dry runs."""

    dim = 64
    budget = 1024
    window = 4096

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record."""
        return {"family": "hash", "ngrams": [1, 2], "dim": 64, "text_rule": TEXT_RULE, "code_version": _CODE_VERSION}

    def load(self, device: str) -> None:  # noqa: ARG002 (there are no weights)
        """Build the vectoriser."""
        from sklearn.feature_extraction.text import HashingVectorizer

        self._vectoriser = HashingVectorizer(n_features=64, ngram_range=(1, 2), alternate_sign=True, norm="l2")

    def prepare(self, raw: str) -> str:
        """Return the text in normal form C."""
        return normalise_text(raw)

    def cost(self, prepared: str) -> int:  # noqa: ARG002 (every text counts the same)
        """Return 1."""
        return 1

    def encode(self, batch: Sequence[str]) -> Vectors:
        """Return the hashed vectors [n, 64]."""
        return np.asarray(self._vectoriser.transform(batch).toarray(), dtype=np.float32)
