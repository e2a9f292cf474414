"""What one `embed` run wants: distinct contents, what became of each, and which others publish meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stages.models.encoders.inputs import Inputs
from stages.models.encoders.protocol import Runtime
from stages.models.encoders.running.batching import Seconds
from store import CorruptSegment, EncoderLog, KeySet, Locations, UnsupportedFormat, key_array, text_key

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


REST = 20
"""After a long listing so many times as long goes without one: looks cost a run at most a twentieth of its time."""
_LONG = 0.05  # s: below it a listing costs less than the commit that follows
_NONE = np.zeros(0, dtype=np.int64)


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


class Ledger:
    """What became of each content of a request: the one object that notes it, for a run or for a worker's units of it.

    A content is found, wanted or failed; or none of these, from its encoding until it is stored. Only the methods
    change this: `look_up` begins anew from the store, `narrow` begins a unit, `look` takes what others published,
    `encode`, `fail` and `store` what happens here, and `enter` what a worker tells of a unit.

    Parameters
    ----------
    log : EncoderLog
    keys : ndarray of uint8, [U, 32]
        Each once.
    failures : dict
        Those that are known, and not to be tried.

    Attributes
    ----------
    locations : Locations
        What the last lookup gave.
    found, wanted, computed : ndarray of bool, [U]
        In the store, as far as was seen; still to be encoded; tried in this run or unit.
    left : int
        How many are wanted.
    failures : dict
        Position in the request -> reason.
    from_others : int
        How many were wanted until others published them.
    crowded : bool
        Whether others have published what was computed here too, so work at the same place; who moves away resets it.
    seconds : Seconds
    runtime : Runtime or None
        What computes; None until something has to.
    notes : dict
        What the encoder counted among the computed ones; see `Encoder.notes`.
    """

    def __init__(self, log: EncoderLog, keys: NDArray[np.uint8], failures: dict[int, str]) -> None:
        self.log, self.keys, self.failures = log, keys, failures
        self.locations = Locations.nowhere(keys)
        self.found, self.wanted, self.computed = (np.zeros(len(keys), dtype=bool) for _ in range(3))
        self.left = self.from_others = 0
        self.crowded = False
        self.seconds = Seconds()
        self.runtime: Runtime | None = None
        self.notes: dict[str, int] = {}

    @property
    def known(self) -> int:
        """How many of the failures were known before and not tried."""
        return sum(not self.computed[at] for at in self.failures)

    def look_up(self) -> None:
        """Ask the store for all; what it lacks is wanted, unless it failed."""
        self._elsewhere = Elsewhere(self.log, self.keys)
        self.locations = self.log.locate(self.keys)
        self.found = self.locations.found
        for at in [at for at in self.failures if self.found[at]]:
            # Somebody else has stored it since, who may have the file that is lost here.
            del self.failures[at]
            self.computed[at] = False
        self._want(~self.found)

    def narrow(self, places: Rows) -> None:
        """Want those of some contents ([n], each once) that were not found, and forget what was tried before."""
        self.computed[:] = False
        self.failures.clear()
        self.seconds = Seconds()
        wanted = np.zeros_like(self.found)
        wanted[places] = ~self.found[places]
        self._want(wanted)

    def look(self) -> int:
        """Look for what others have published, which need not be encoded any more; return how many were wanted."""
        theirs = np.unique(self._elsewhere.look())
        self.found[theirs] = True
        self.crowded |= bool(self.computed[theirs].any())
        new = int(np.count_nonzero(self._drop(theirs)))
        self.from_others += new
        return new

    def encode(self, items: Rows) -> NDArray[np.bool_]:
        """Note that some ([n], each once) have a vector; tell which nobody has published while the model had them."""
        fresh = self._drop(items)
        self.computed[items] = True
        self.crowded |= not fresh.all()
        return fresh

    def fail(self, item: int, reason: str) -> int:
        """Note that one has no vector, unless somebody else has stored it; return how many failed: 1 or 0."""
        if self.found[item]:
            return 0
        self._drop(np.array([item]))
        self.computed[item] = True
        self.failures[item] = reason
        return 1

    def store(self, items: Rows, name: str) -> None:
        """Note that some ([n]) lie in our segment `name`."""
        self.found[items] = True
        self._elsewhere.own(name)

    def enter(self, unit: Rows, cached: list[int], failures: dict[int, str]) -> None:
        """Note what a worker made of its unit ([n]): which places in it were not tried, and what failed."""
        self._drop(unit)
        self.computed[np.delete(unit, cached)] = True
        self.failures.update(failures)

    def _want(self, wanted: NDArray[np.bool_]) -> None:
        wanted[list(self.failures)] = False
        self.wanted, self.left = wanted, int(np.count_nonzero(wanted))

    def _drop(self, items: Rows) -> NDArray[np.bool_]:
        """Want some ([n], each once) no more; tell which were wanted."""
        were = self.wanted[items]
        self.wanted[items] = False
        self.left -= int(np.count_nonzero(were))
        return were
