"""Compares the vectors that several segments hold for one key: they may differ by rounding, and by nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from store.errors import CorruptSegment
from store.features.index import BYTES_PER_ROW, KeyTable
from store.features.log import EncoderLog
from store.features.store import FeatureStore
from store.items.keys import KEY_BYTES
from store.items.vectors import cosines

# Same encoder, same input: what hardware, batch size and number format may change (cosine).
_LIMITS = {"exact": 0.999, "fast": 0.99}
# All keys of one pass lie in memory.
_PASS_BYTES = 256 << 20
_HASHES = 2**64

Positions = NDArray[np.int32]


@dataclass(frozen=True)
class Conflict:
    """The rows of one encoder that two segments hold with different vectors.

    Attributes
    ----------
    encoder_folder : str
    segments : tuple of two str
    rows : int
    cosine : float
        The lowest of all these rows.
    key : str
        That of the lowest, 64 hexadecimal digits.
    tolerated : bool
        Whether all of them agree as well as the encoder's numeric contract asks.
    """

    encoder_folder: str
    segments: tuple[str, str]
    rows: int
    cosine: float
    key: str
    tolerated: bool


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of several segments side by side, sorted by key and, for one key, by digest."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    digest: NDArray[np.uint64]
    segment: NDArray[np.int32]
    row: NDArray[np.int32]


def conflicts(store: FeatureStore) -> list[Conflict]:
    """Find every key with different vectors, in passes over ranges of keys, so that memory stays bounded.

    Returns
    -------
    list of Conflict
        One for each pair of segments, sorted; damaged segments are left out (see `verify`).
    """
    return [conflict for log in store.logs() for conflict in _of_log(log)]


def _of_log(log: EncoderLog) -> list[Conflict]:
    # A file that is not as long as its name says holds no such number of rows.
    total = sum(name.rows for name, entry in log.files.entries() if entry.size == name.size >= name.rows * KEY_BYTES)
    passes = 1 + total * 2 * BYTES_PER_ROW // _PASS_BYTES
    names: list[str] = []
    found: dict[tuple[str, str], Conflict] = {}
    for number in range(passes):
        start, stop = (each * (_HASHES // passes) for each in (number, number + 1))
        rows = _range(log, names, start, stop, last=number + 1 == passes)
        for segments, first, second in _pairs(rows, names):
            conflict = _compare(log, segments, first, second)
            if conflict is not None:
                found[segments] = _joined(found.get(segments), conflict)
    return [found[segments] for segments in sorted(found)]


def _joined(earlier: Conflict | None, later: Conflict) -> Conflict:
    """Add up what two passes found for the same two segments."""
    if earlier is None:
        return later
    lowest = min(earlier, later, key=lambda conflict: conflict.cosine)
    return replace(lowest, rows=earlier.rows + later.rows)


def _range(log: EncoderLog, names: list[str], start: int, stop: int, *, last: bool) -> _Rows:
    """Take the keys from `start` up to `stop` (to the end in the last pass) out of every table."""
    parts: list[_Rows] = []
    for name, table in log.files.tables(corrupt=[]):
        if name not in names:  # published since
            names.append(name)
        parts.append(_cut(table, names.index(name), start, stop, last))
    if not parts:
        none = np.zeros(0, dtype=np.uint64)
        return _Rows(none, none, none, none.astype(np.int32), none.astype(np.int32))
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in _Rows.__dataclass_fields__]
    order = np.lexsort((columns[2], columns[1], columns[0]))
    return _Rows(*(column[order] for column in columns))


def _cut(table: KeyTable, number: int, start: int, stop: int, last: bool) -> _Rows:
    first = int(np.searchsorted(table.high, np.uint64(start)))
    end = len(table) if last else int(np.searchsorted(table.high, np.uint64(stop)))
    part = slice(first, end)
    row = np.arange(first, end, dtype=np.int32)
    return _Rows(table.high[part], table.low[part], table.digest[part], np.full(end - first, number, np.int32), row)


def _pairs(rows: _Rows, names: list[str]) -> Iterator[tuple[tuple[str, str], Positions, Positions]]:
    """Pair every row with the winner of its key, unless their digests agree; one item for each pair of segments."""
    if not len(rows.high):
        return
    fresh = np.ones(len(rows.high), dtype=bool)
    fresh[1:] = (rows.high[1:] != rows.high[:-1]) | (rows.low[1:] != rows.low[:-1])
    winner = np.maximum.accumulate(np.where(fresh, np.arange(len(fresh)), 0))
    loser = np.flatnonzero(rows.digest != rows.digest[winner])
    best = winner[loser]
    # In either order of winner and loser it is the same pair of segments.
    swapped = rows.segment[best] > rows.segment[loser]
    first, second = np.where(swapped, loser, best), np.where(swapped, best, loser)
    code = rows.segment[first].astype(np.int64) * len(names) + rows.segment[second]
    for each in np.unique(code).tolist():
        here = np.flatnonzero(code == each)
        segments = names[each // len(names)], names[each % len(names)]
        yield segments, rows.row[first[here]], rows.row[second[here]]


def _compare(log: EncoderLog, segments: tuple[str, str], first: Positions, second: Positions) -> Conflict | None:
    try:
        mine, theirs = (log.files.read(name) for name in segments)
    except (FileNotFoundError, CorruptSegment):
        return None  # merged meanwhile, or a matter for `verify`
    same = (mine.keys[first] == theirs.keys[second]).all(axis=1)  # the tables know half of each key
    first, second = first[same], second[same]
    if not len(first):
        return None
    cosine = cosines(mine.vectors[first], theirs.vectors[second])
    lowest = int(cosine.argmin())
    limit = _LIMITS.get(str(log.fingerprint.record.get("numeric_contract")), _LIMITS["exact"])
    key = mine.keys[first[lowest]].tobytes().hex()
    return Conflict(log.folder, segments, len(first), float(cosine[lowest]), key, bool(cosine[lowest] >= limit))
