"""What must hold of a store after every fault: each segment is sound, and each lookup is right or a miss."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store import CorruptSegment, EncoderLog, FeatureStore, Locations, key_array, verify

Model = Mapping[bytes, np.ndarray]


def model_of(keys: np.ndarray, vectors: np.ndarray) -> dict[bytes, np.ndarray]:
    """The plain dictionary that a store is compared with."""
    return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}


def assert_store_ok(store: FeatureStore, expected: Model | None = None, *, damaged: Collection[str] = ()) -> set[bytes]:
    """Verify every segment with its rows, and look up every key of the model in every log.

    Parameters
    ----------
    store : FeatureStore
        Without a cache, or the damage of a file could hide behind it.
    expected : mapping of key to vector, optional
        All that may be in the store; a key that is missing counts as a miss, another vector as a failure.
    damaged : collection of str
        The segments that a test has left damaged: exactly these must be reported.

    Returns
    -------
    set of bytes
        The keys found.
    """
    problems = verify(store, rows=True)
    assert {problem.segment for problem in problems} == set(damaged), problems
    here: set[bytes] = set()
    if not expected:
        return here
    keys, vectors = key_array(list(expected)), np.stack(list(expected.values()))
    for log in store.logs():
        found, read = _located_and_read(log, keys)
        assert set(found.corrupt) <= set(damaged)
        rows = np.flatnonzero(found.found)
        np.testing.assert_array_equal(read, vectors[rows])
        here |= {keys[row].tobytes() for row in rows}
    return here


def _located_and_read(log: EncoderLog, keys: NDArray[np.uint8]) -> tuple[Locations, NDArray[Any]]:
    """Look up and read; a lookup over a network sees only the keys of a segment, so reading it may tell its damage."""
    while True:
        found = log.locate(keys)
        try:
            return found, log.read(found, np.flatnonzero(found.found))
        except CorruptSegment:  # from now on the log skips that segment
            assert len(log.locate(keys).corrupt) > len(found.corrupt)


def damaged_copies(data: bytes) -> list[bytes]:
    """200 copies with one bit flipped, and 50 cut short."""
    generator = np.random.default_rng(0)
    copies = []
    for position in generator.choice(len(data), 200, replace=False):
        copy = bytearray(data)
        copy[position] ^= 1 << generator.integers(8)
        copies.append(bytes(copy))
    return copies + [data[:length] for length in np.linspace(0, len(data) - 1, 50).astype(int)]
