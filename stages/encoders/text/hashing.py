"""The weightless text double (`hash`): signed hashing of words and word pairs; docs/systems/encoders.md#hash."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from stages.encoders.protocol import Placement, Rows, Runtime, Simple
from stages.encoders.text.normalise import TEXT_RULE, normalise_text
from stages.errors import InputError

_CODE_VERSION = 2
_MOST_BINS = 1 << 16
_WORD = re.compile(r"\w+")
_START, _END = "<s>", "</s>"


class HashText(Simple):
    """L2-normalised hashed bag of words and of word pairs, the ends of the text included.

    With 64 bins it serves tests and dry runs, with 1024 the fusion `early`. A text of n words has n words and n + 1
    pairs: an odd number of signs, which never cancel out. So every text has a vector, also the empty one.

    Parameters
    ----------
    dim : int
        Bins.
    """

    budget = 1024
    window = 4096
    chunk = 256

    def __init__(self, dim: int = 64) -> None:
        if not 2 <= dim <= _MOST_BINS:
            raise InputError(f"dim: expected 2 to {_MOST_BINS} bins; found {dim}; `early` takes 1024.")
        self.dim = dim

    def identity(self) -> Mapping[str, Any]:
        """Return the fingerprint's record."""
        return {
            "family": "hash",
            "ngrams": [1, 2],
            "dim": self.dim,
            "text_rule": TEXT_RULE,
            "code_version": _CODE_VERSION,
        }

    def load(self, placement: Placement) -> Runtime:  # noqa: ARG002 (there are no weights)
        """Build the hasher, which runs on the processor whatever the placement."""
        from sklearn.feature_extraction import FeatureHasher  # slow to import, needed on a miss only

        self._hasher = FeatureHasher(n_features=self.dim, input_type="string", alternate_sign=True)
        return Runtime("numpy")

    def prepare(self, raws: Sequence[str]) -> list[list[str]]:
        """Return of each text the lower-case words and the pairs of neighbours, as "a b"."""
        return [_features(raw) for raw in raws]

    def encode(self, batch: Sequence[list[str]]) -> Rows:
        """Return the hashed vectors [n, dim]."""
        counts = self._hasher.transform(batch).toarray()
        vectors: Rows = (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)
        return vectors


def _features(raw: str) -> list[str]:
    words = _WORD.findall(normalise_text(raw).lower())
    return words + [f"{first} {second}" for first, second in pairwise([_START, *words, _END])]
