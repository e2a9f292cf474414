"""Finds a data set's keys in a stream of key tables; `log` supplies the stream and reads the rows found.

A table is what a lookup needs of one segment, 24 bytes a row: half of each key, which is enough to find a row (`log`
compares whole keys when it reads the vector), and the digest of its vector. The data set is the small side: its keys
are sorted once and joined with each table, so memory grows with the data set and never with the store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import google_crc32c
import numpy as np
from numpy.typing import NDArray

BYTES_PER_ROW = 24
_MAGIC = b"diptych/keys/1\n"
_CHECKSUM = struct.Struct("<I")

Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class KeyTable:
    """The rows of a segment, in its order.

    Attributes
    ----------
    high, low : ndarray of uint64, shape [N]
        The first 16 bytes of each key as two big-endian numbers; ascending as pairs.
    digest : ndarray of uint64, shape [N]
        The row digest as a big-endian number: of two rows for one key the smaller wins.
    """

    high: Words
    low: Words
    digest: Words

    def __len__(self) -> int:
        return len(self.high)

    @classmethod
    def of(cls, keys: NDArray[np.uint8], row_digests: NDArray[np.uint8]) -> KeyTable:
        """Make the table of a segment's keys ([N, 32], ascending) and row digests ([N, 8])."""
        high, low = key_words(keys)
        digest = np.ascontiguousarray(row_digests).view(">u8").reshape(len(high)).astype(np.uint64)
        return cls(high, low, digest)

    def to_bytes(self, name: str) -> bytes:
        """Write the table of the segment `name`, with a checksum over both."""
        columns = b"".join(column.astype("<u8").tobytes() for column in (self.high, self.low, self.digest))
        content = _MAGIC + name.encode() + b"\n" + columns
        return content + _CHECKSUM.pack(google_crc32c.value(content))

    @classmethod
    def from_bytes(cls, data: bytes, name: str, rows: int) -> KeyTable:
        """Read what `to_bytes` wrote for that segment.

        Raises
        ------
        ValueError
            When it is damaged, or the table of another segment.
        """
        head = _MAGIC + name.encode() + b"\n"
        if len(data) != len(head) + rows * BYTES_PER_ROW + _CHECKSUM.size or not data.startswith(head):
            raise ValueError(f"expected the keys of {rows} rows of {name}, found something else")
        if _CHECKSUM.unpack(data[-_CHECKSUM.size :])[0] != google_crc32c.value(data[: -_CHECKSUM.size]):
            raise ValueError(f"expected the keys of {name} to match their checksum, found others")
        columns = np.frombuffer(data, dtype="<u8", count=3 * rows, offset=len(head)).reshape(3, rows)
        return cls(*(column.astype(np.uint64, copy=False) for column in columns))


def key_words(keys: NDArray[np.uint8]) -> tuple[Words, Words]:
    """Give the first 16 bytes of keys (uint8, [N, 32]) as two columns of numbers that sort like the bytes."""
    words = np.ascontiguousarray(keys).view(">u8").reshape(len(keys), keys.shape[1] // 8)
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)


Positions = NDArray[np.intp]


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

    @classmethod
    def nowhere(cls, keys: NDArray[np.uint8]) -> Self:
        """Say of keys (uint8 [N, 32]) that all are missing."""
        none = np.full(len(keys), -1, dtype=np.int32)
        return cls(none, none, (), keys)

    def __len__(self) -> int:
        return len(self.segment)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Tell for each key whether it was found (bool, [N])."""
        return np.asarray(self.segment >= 0)


class _Winners:
    """The best row seen so far for each distinct key of the data set."""

    def __init__(self, keys: NDArray[np.uint8]) -> None:
        high, low = key_words(keys)
        order = np.lexsort((low, high))
        high, low = high[order], low[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        self.high, self.low = high[first], low[first]  # [M], ascending and distinct
        self.back = np.empty(len(order), dtype=np.intp)  # [N], from each asked key to its distinct one
        self.back[order] = np.cumsum(first) - 1
        self.digest = np.zeros(len(self.high), dtype=np.uint64)
        self.segment = np.full(len(self.high), -1, dtype=np.int32)
        self.row = np.full(len(self.high), -1, dtype=np.int32)

    def offer(self, number: int, table: KeyTable) -> None:
        """Let the rows of one segment compete.

        The smallest row digest wins: a property of the vectors alone, so that every reader picks the same one whatever
        the order of the listing, and compaction changes nothing.
        """
        place, rows = _matches(self.high, self.low, table)
        digest = table.digest[rows]
        better = (self.segment[place] < 0) | (digest < self.digest[place])
        place, rows = place[better], rows[better]
        self.digest[place] = digest[better]
        self.segment[place] = number
        self.row[place] = rows


def _matches(high: Words, low: Words, table: KeyTable) -> tuple[Positions, Positions]:
    """Join two ascending lists of different keys; give the positions of equal ones in the first and in the second."""
    if len(table) <= len(high):
        return _search(high, low, table.high, table.low)
    rows, place = _search(table.high, table.low, high, low)
    return place, rows


def _search(high: Words, low: Words, wanted_high: Words, wanted_low: Words) -> tuple[Positions, Positions]:
    """Find each wanted key in the (longer) ascending list; give positions in the list and among the wanted."""
    none = np.zeros(0, dtype=np.intp)
    if not len(high):
        return none, none
    place = np.searchsorted(high, wanted_high)
    wanted = np.flatnonzero(high[np.minimum(place, len(high) - 1)] == wanted_high)
    place = place[wanted]
    found: list[tuple[Positions, Positions]] = []
    while len(wanted):  # once, unless keys agree in their first 8 bytes and differ in the next
        equal = low[place] == wanted_low[wanted]
        found.append((place[equal], wanted[equal]))
        place, wanted = place[~equal] + 1, wanted[~equal]
        inside = place < len(high)
        place, wanted = place[inside], wanted[inside]
        same = high[place] == wanted_high[wanted]
        place, wanted = place[same], wanted[same]
    if not found:
        return none, none
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])


class KeySet:
    """A set of keys that is asked again and again, 24 bytes for each.

    Parameters
    ----------
    keys : ndarray of uint8, shape [N, 32]
    """

    def __init__(self, keys: NDArray[np.uint8]) -> None:
        winners = _Winners(keys)
        self._high, self._low = winners.high, winners.low
        self._place = np.empty(len(self._high), dtype=np.intp)
        self._place[winners.back] = np.arange(len(keys))

    def __len__(self) -> int:
        return len(self._high)

    def places(self, table: KeyTable) -> Positions:
        """Give where those keys stand in `keys` that the table holds; of a repeated key the last place."""
        return self._place[_matches(self._high, self._low, table)[0]]

    def meets(self, table: KeyTable) -> bool:
        """Tell whether the table holds one of the keys."""
        return len(_matches(self._high, self._low, table)[0]) > 0


def locate(keys: NDArray[np.uint8], tables: Iterable[tuple[str, KeyTable]]) -> Locations:
    """Look up keys in the tables of segments, holding one table at a time.

    Parameters
    ----------
    keys : ndarray of uint8, shape [N, 32]
        May repeat a key: each repetition gets the same location.
    tables : iterable of (segment name, KeyTable)
        In any order.

    Returns
    -------
    Locations
        Of two rows for one key, the one with the smaller row digest.
    """
    winners = _Winners(keys)
    names: list[str] = []
    for number, (name, table) in enumerate(tables):
        winners.offer(number, table)
        names.append(name)
    return _compact(winners, names, keys)


def _compact(winners: _Winners, names: list[str], keys: NDArray[np.uint8]) -> Locations:
    """Spread the winners over the asked keys and keep only the names of segments in use, sorted."""
    used = sorted(set(winners.segment[winners.segment >= 0].tolist()), key=names.__getitem__)
    renumber = np.full(len(names) + 1, -1, dtype=np.int32)  # the last place serves -1
    renumber[used] = np.arange(len(used), dtype=np.int32)
    return Locations(
        segment=renumber[winners.segment[winners.back]],
        row=winners.row[winners.back],
        names=tuple(names[number] for number in used),
        keys=keys,
    )
