"""Finds a data set's keys in a stream of segments; `encoder_log` supplies the stream and reads the rows found.

The data set is the small side: its keys are sorted once, and each segment's keys are looked up in them, so memory grows
with the data set and never with the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from store.key import sortable
from store.segment import Segment


@dataclass(frozen=True, eq=False)
class Locations:
    """Where each asked key lies.

    Attributes
    ----------
    segment : ndarray of int32, shape [N]
        Position in `names`; -1 where the key is missing.
    row : ndarray of int32, shape [N]
        Row within that segment; -1 where the key is missing.
    names : tuple of str
        The segments used, sorted.
    keys : ndarray of uint8, shape [N, 32]
        The keys asked for.
    corrupt : tuple of str
        Segments that were skipped because they are damaged.
    """

    segment: NDArray[np.int32]
    row: NDArray[np.int32]
    names: tuple[str, ...]
    keys: NDArray[np.uint8] = field(repr=False)
    corrupt: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.segment)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Tell for each key whether it was found (bool, [N])."""
        return np.asarray(self.segment >= 0)


class _Winners:
    """The best row seen so far for each distinct key of the data set."""

    def __init__(self, keys: NDArray[np.void]) -> None:
        self.keys = keys  # [M], sorted and distinct
        self.digest = np.zeros(len(keys), dtype=np.uint64)
        self.segment = np.full(len(keys), -1, dtype=np.int32)
        self.row = np.full(len(keys), -1, dtype=np.int32)

    def offer(self, number: int, segment: Segment) -> None:
        """Let the rows of one segment compete.

        The smallest row digest wins: a property of the vectors alone, so that every reader picks the same one whatever
        the order of the listing, and compaction changes nothing.
        """
        if not len(self.keys):
            return
        offered = sortable(segment.keys)  # [n]
        place = np.minimum(np.searchsorted(self.keys, offered), len(self.keys) - 1)
        rows = np.flatnonzero(self.keys[place] == offered)
        place = place[rows]
        digest = segment.row_digests[rows].view(">u8").reshape(len(rows)).astype(np.uint64)
        better = (self.segment[place] < 0) | (digest < self.digest[place])
        place, rows = place[better], rows[better]
        self.digest[place] = digest[better]
        self.segment[place] = number
        self.row[place] = rows


def locate(keys: NDArray[np.uint8], segments: Iterable[tuple[str, Segment]]) -> Locations:
    """Look up keys in segments, holding one segment at a time.

    Parameters
    ----------
    keys : ndarray of uint8, shape [N, 32]
        May repeat a key: each repetition gets the same location.
    segments : iterable of (name, Segment)
        In any order.

    Returns
    -------
    Locations
        Of two rows for one key, the one with the smaller row digest.
    """
    distinct, back = np.unique(sortable(keys), return_inverse=True)
    winners = _Winners(distinct)
    names: list[str] = []
    for number, (name, segment) in enumerate(segments):
        winners.offer(number, segment)
        names.append(name)
    return _compact(winners, back.reshape(len(keys)), names, keys)


def _compact(winners: _Winners, back: NDArray[np.intp], names: list[str], keys: NDArray[np.uint8]) -> Locations:
    """Spread the winners over the asked keys and keep only the names of segments in use, sorted."""
    used = sorted(set(winners.segment[winners.segment >= 0].tolist()), key=names.__getitem__)
    renumber = np.full(len(names) + 1, -1, dtype=np.int32)  # the last place serves -1
    renumber[used] = np.arange(len(used), dtype=np.int32)
    return Locations(
        segment=renumber[winners.segment[back]],
        row=winners.row[back],
        names=tuple(names[number] for number in used),
        keys=keys,
    )
