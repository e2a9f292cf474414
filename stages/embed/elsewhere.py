"""Rows that other people and machines publish while this run computes; `commit` looks before each of its commits."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from store import CorruptSegment, EncoderLog, KeySet, UnsupportedFormat

Rows = NDArray[np.int64]


class Elsewhere:
    """Watches one encoder's log for the keys of a request; make it before the first lookup, so that nothing slips by.

    A look costs one listing, and the reading of the segments that came since the last one and are not our own.

    Parameters
    ----------
    log : EncoderLog
    keys : ndarray of uint8, shape [U, 32]
        Each once.
    """

    def __init__(self, log: EncoderLog, keys: NDArray[np.uint8]) -> None:
        self._log = log
        self._keys = keys
        self._seen = set(log.segments())

    def own(self, name: str) -> None:
        """Leave a segment of this run out of the next look."""
        self._seen.add(name)

    def look(self) -> Rows:
        """Return the positions of the keys that lie in sound segments which appeared since the last look.

        Raises
        ------
        StoreUnreachable, StoreNotReadable
            When the storage does not answer, or not to us.
        """
        new = [name for name in self._log.segments() if name not in self._seen]
        self._seen.update(new)
        return np.concatenate([np.zeros(0, dtype=np.int64), *(self._found_in(name) for name in new)])

    def _found_in(self, name: str) -> Rows:
        try:
            return self._wanted.places(self._log.files.table(name))
        except (CorruptSegment, UnsupportedFormat, FileNotFoundError):
            # Its rows are computed here; the lookup at the end of the run tells of the damage.
            return np.zeros(0, dtype=np.int64)

    @cached_property
    def _wanted(self) -> KeySet:
        """The keys, sorted when somebody else first publishes."""
        return KeySet(self._keys)
