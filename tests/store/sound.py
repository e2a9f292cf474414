"""What must hold of a store after every fault: each segment is sound, and each lookup is right or a miss."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from store import FeatureStore, key_array, verify

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
        found = log.locate(keys)
        assert set(found.corrupt) == set(damaged)
        rows = np.flatnonzero(found.found)
        np.testing.assert_array_equal(log.read(found, rows), vectors[rows])
        here |= {keys[row].tobytes() for row in rows}
    return here


def damaged_copies(data: bytes) -> list[bytes]:
    """200 copies with one bit flipped, and 50 cut short."""
    generator = np.random.default_rng(0)
    copies = []
    for position in generator.choice(len(data), 200, replace=False):
        copy = bytearray(data)
        copy[position] ^= 1 << generator.integers(8)
        copies.append(bytes(copy))
    return copies + [data[:length] for length in np.linspace(0, len(data) - 1, 50).astype(int)]
