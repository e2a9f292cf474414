"""Seeded weights that are the same in every version of NumPy, and hashed words: what `model: random` is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stages.encoders.protocol import Rows

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
