"""Fits `bovw`: a vocabulary of visual words, k-means on SIFT descriptors; docs/systems/encoders.md#bovw."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from stages.fit.context import FitContext, Fitted, prepared_rows
from stages.fit.options import BovwOptions
from stages.models.encoders.image.bovw import VOCABULARY, describe
from store.errors import InputError
from store.files.tensors import save_tensors
from store.results.cards import EntryCard

_INITS = 3


def fit_bovw(context: FitContext, folder: Path) -> Fitted:
    """Sample descriptors, cluster them and write the centres [k, 128].

    Raises
    ------
    InputError
        When the train pictures give fewer descriptors than words are wanted.
    RunError
        When no picture can be read.
    """
    options: BovwOptions = context.options
    sample = _Sample(options.sample, context.seed)
    seen = empty = 0
    with context.progress.track(f"fit {context.name}", len(context.rows)) as tracker:
        for position, vectors in prepared_rows(context, lambda raw: describe(raw, dense=options.dense).vectors):
            sample.add(context.rows.ids[position], vectors)
            seen, empty = seen + 1, empty + (not len(vectors))
            tracker.advance()
    _refuse_few(context.name, sample.seen, options)
    save_tensors({"words": _centres(sample.vectors(), options.k, context.seed)}, folder / VOCABULARY)
    left_out = len(context.rows) - seen
    counts = {"descriptors": sample.seen, "without_descriptors": empty, "left_out": left_out}
    return Fitted((), EntryCard(counts=counts))


def _refuse_few(name: str, found: int, options: BovwOptions) -> None:
    if found < options.k:
        raise InputError(
            f"fit {name}: expected at least as many descriptors as words, {options.k}; found {found} in the train "
            "pictures; lower `k`, or set `dense: true`."
        )


def _centres(vectors: NDArray[np.float32], k: int, seed: int) -> NDArray[np.float32]:
    means = MiniBatchKMeans(n_clusters=k, n_init=_INITS, random_state=seed)
    with threadpool_limits(limits=1):  # several threads add up in an order of their own
        means.fit(vectors)
    return np.asarray(means.cluster_centers_, dtype=np.float32)


class _Sample:
    """A uniform sample of descriptors in one pass, the same whatever the order of the pictures.

    Each descriptor draws a number from the seed and its picture's id; those with the smallest numbers are kept.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._seed, self.seen, self._held = most, seed, 0, 0
        self._numbers: list[NDArray[np.float64]] = []
        self._vectors: list[NDArray[np.uint8]] = []  # SIFT gives whole numbers of 0 to 255

    def add(self, identity: str, vectors: NDArray[np.float32]) -> None:
        """Add the descriptors [P, 128] of one picture."""
        own = int.from_bytes(hashlib.sha256(identity.encode()).digest(), "little")
        self._numbers.append(np.random.default_rng([self._seed, own]).random(len(vectors)))
        self._vectors.append(vectors.astype(np.uint8))
        self.seen, self._held = self.seen + len(vectors), self._held + len(vectors)
        if self._held > 2 * self._most:
            self._prune()

    def _prune(self) -> None:
        numbers, vectors = np.concatenate(self._numbers), np.concatenate(self._vectors)
        smallest = np.argsort(numbers, kind="stable")[: self._most]
        self._numbers, self._vectors, self._held = [numbers[smallest]], [vectors[smallest]], len(smallest)

    def vectors(self) -> NDArray[np.float32]:
        """Return the sample [at most `most`, 128] in the order of the numbers drawn."""
        self._prune()
        return self._vectors[0].astype(np.float32)
