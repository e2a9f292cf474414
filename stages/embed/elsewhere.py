"""Rows that other people and machines publish while this run computes; `commit` looks before each of its commits."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from store import CorruptSegment, EncoderLog, KeySet, UnsupportedFormat

Rows = NDArray[np.int64]
REST = 20
"""After a long listing so many times as long goes without one: looks cost a run at most a twentieth of its time."""
_LONG = 0.05  # s: below it a listing costs less than the commit that follows
_NONE = np.zeros(0, dtype=np.int64)


class Watch(Protocol):
    """Tells which rows of a request others have published; `Elsewhere`, or what a worker sees of it for a portion."""

    def own(self, name: str) -> None:
        """Leave a segment of this run out of the next look."""

    def look(self) -> Rows:
        """Return the positions of what was published since the last look."""


class Elsewhere:
    """Watches one encoder's log for the keys of a request; make it before the first lookup, so that nothing slips by.

    A look costs one listing, and the reading of the segments that came since the last one and are not our own. No
    storage lists only what is new: names are digests. So where a listing takes long, not every look is taken.

    Parameters
    ----------
    log : EncoderLog
    keys : ndarray of uint8, shape [U, 32]
        Each once.
    """

    def __init__(self, log: EncoderLog, keys: NDArray[np.uint8]) -> None:
        self._log = log
        self._keys = keys
        self._seen: set[str] = set()
        self._rests_until = 0.0
        self._list()

    def own(self, name: str) -> None:
        """Leave a segment of this run out of the next look."""
        self._seen.add(name)

    def look(self) -> Rows:
        """Return the positions of the keys that lie in sound segments which appeared since the last look.

        For `REST` times as long as a long listing took, looks find nothing; what came meanwhile is told afterwards.

        Raises
        ------
        StoreUnreachable, StoreNotReadable
            When the storage does not answer, or not to us.
        """
        if time.monotonic() < self._rests_until:
            return _NONE
        return np.concatenate([_NONE, *(self._found_in(name) for name in self._list())])

    def _list(self) -> list[str]:
        """List the log and give the names that are new."""
        start = time.monotonic()
        names = self._log.segments()
        end = time.monotonic()
        if end - start > _LONG:
            self._rests_until = end + REST * (end - start)
        new = [name for name in names if name not in self._seen]
        self._seen.update(new)
        return new

    def _found_in(self, name: str) -> Rows:
        try:
            return self._wanted.places(self._log.files.table(name))
        except (CorruptSegment, UnsupportedFormat, FileNotFoundError):
            # Its rows are computed here; the lookup at the end of the run tells of the damage.
            return _NONE

    @cached_property
    def _wanted(self) -> KeySet:
        """The keys, sorted when somebody else first publishes."""
        return KeySet(self._keys)
