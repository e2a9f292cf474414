"""Hashed words: the weightless double (docs/systems/encoders.md#hash), and the tables of `model: random`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.protocol import Placement, Rows, Runtime, Simple
from stages.models.encoders.text.tokens import TEXT_RULE, normalise_text
from store.errors import InputError

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


BUCKETS = 20_000
"""Rows of a table of hashed words."""


class SeededWeights:
    """A stream of uniform numbers from one seed; each array continues where the last one ended.

    Only the bit stream of a NumPy generator is promised to stay for ever, not its distributions: so the numbers are
    taken from the bits here.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def take(self, *shape: int, spread: float = 1.0) -> Rows:
        """Return an array of that shape, float32, of mean 0 and standard deviation `spread`."""
        whole = self._bits.random_raw(math.prod(shape)) >> np.uint64(40)  # 24 bits: a float32 holds them exactly
        uniform = whole.astype(np.float32) * np.float32(2**-23) - 1  # [-1, 1)
        weights: Rows = uniform.reshape(shape) * np.float32(spread * math.sqrt(3))
        return weights


def buckets(features: Sequence[str]) -> NDArray[np.int64]:
    """Return the row of each feature in a table of hashed features."""
    return np.array([crc32(each.encode()) % BUCKETS for each in features], dtype=np.int64)
