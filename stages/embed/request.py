"""What one `embed` run wants: distinct contents, which of them are left, and which others publish meanwhile."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.inputs import Inputs
from store import CorruptSegment, EncoderLog, KeySet, UnsupportedFormat, key_array, text_key

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """The distinct contents to be embedded.

    Attributes
    ----------
    keys : ndarray of uint8, [U, 32]
        One content key per distinct content, in the order of their first rows: what is computed together then lies
        together in the store, and the export reads each segment about once.
    first : ndarray of int64, [U]
        The first manifest row with that content; -1 for an empty text that no row has.
    inverse : ndarray of int64, [N]
        For each manifest row its position in `keys`, -1 when the input is absent.
    empty : int
        Position in `keys` of the empty text, whose vector serves as the missing one; -1 when not wanted.
    """

    keys: NDArray[np.uint8]
    first: Rows
    inverse: Rows
    empty: int


def make_request(inputs: Inputs, *, with_empty: bool) -> Request:
    """Collect the distinct contents: equal texts, pictures or pairs are encoded once.

    Parameters
    ----------
    with_empty : bool
        Whether the empty text is wanted too, to serve as the missing vector.

    Raises
    ------
    InputError
        When the manifest has no such field.
    """
    keys, present = inputs.keys()
    count = len(keys)
    # The empty text comes as one more row behind the last.
    keys = np.concatenate([keys, key_array([text_key("")])])
    rows = np.flatnonzero(np.append(present, with_empty))
    # Viewed as 32-byte records: numpy's string types would drop trailing zero bytes.
    records = np.ascontiguousarray(keys[rows]).view(np.dtype((np.void, keys.shape[1]))).ravel()
    _, first, inverse = np.unique(records, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    everywhere = np.full(count + 1, -1, dtype=np.int64)
    everywhere[rows] = place[inverse]
    first_rows = rows[first[order]]
    return Request(keys[first_rows], np.where(first_rows < count, first_rows, -1), everywhere[:-1], int(everywhere[-1]))


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
