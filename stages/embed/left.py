"""What of a request is still to be encoded, taken in portions; `compute` marks what is done or found elsewhere."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
_SCANNED = 1 << 20  # marks looked at together


class Left:
    """Takes portions of what is wanted, without looking again at what was done long ago.

    Parameters
    ----------
    wanted : ndarray of bool, [U]
        Kept up to date by others; what is not wanted any more never is again.
    """

    def __init__(self, wanted: NDArray[np.bool_]) -> None:
        self._wanted = wanted
        self._at = 0  # where to go on

    def next(self, count: int) -> Rows:
        """Return what is wanted from where the last portion began, `count` at most; behind the end comes the begin."""
        behind = self._from(self._at, len(self._wanted), count)
        found = np.concatenate([behind, self._from(0, self._at, count - len(behind))])
        self._at = int(found[0]) if len(found) else 0
        return found

    def anywhere(self, count: int) -> Rows:
        """Return as many from one of them on that is drawn by lot; the next portions go on there.

        Of what is wanted, not of all positions: where most is done, two machines would meet again behind the same gap.
        """
        self._at = self._place(random.randrange(int(np.count_nonzero(self._wanted))))  # noqa: S311 (no secret)
        return self.next(count)

    def _place(self, number: int) -> int:
        """Find the position of the wanted one that has so many wanted before it."""
        start = 0
        while number >= (here := int(np.count_nonzero(self._wanted[start : start + _SCANNED]))):
            start, number = start + _SCANNED, number - here
        return start + int(np.flatnonzero(self._wanted[start : start + _SCANNED])[number])

    def _from(self, start: int, stop: int, count: int) -> Rows:
        found = [np.zeros(0, dtype=np.int64)]
        while start < stop and count:
            end = min(start + _SCANNED, stop)
            found.append(start + np.flatnonzero(self._wanted[start:end])[:count])
            start, count = end, count - len(found[-1])
        return np.concatenate(found)
