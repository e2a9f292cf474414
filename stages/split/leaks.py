"""Finds content of test that train or dev has as well, equal or nearly so; `run` reports it, nothing is moved."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from store.files.outputs import safe_cell, write_lines
from store.items.keys import sortable

_BITS = 64
_MANY = (200_000, 4_000_000)
_PAIRS_AT_ONCE = 1 << 21  # 16 MB for each array of them


def varied_bits(hashes: np.ndarray) -> int:
    """Count the bits that are set in 5 to 95 % of the hashes (uint64 [N]): few where all pictures share a layout."""
    if not len(hashes):
        return 0
    shares = _shares(hashes)
    return int(((shares >= 0.05) & (shares <= 0.95)).sum())


def flat(hashes: np.ndarray, near: int) -> np.ndarray:
    """Tell which hashes say too little to be compared.

    All pictures without any step from dark to bright share one hash, and whatever shows little more is near to it. So
    a hash is flat when it lies within `near` bits of all zeros or of all ones.

    Parameters
    ----------
    hashes : ndarray of uint64, [N]
    near : int

    Returns
    -------
    ndarray of bool, [N]
    """
    ones = np.bitwise_count(hashes)
    return np.asarray((ones <= near) | (ones >= _BITS - near))


def neighbours(
    asked: np.ndarray, others: np.ndarray, near: int, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find for each hash others within a distance of it.

    Two hashes that differ in at most d bits agree in at least k of d + k bands of bits: only pairs that agree so are
    compared. A larger k means more tables and fewer pairs, which pays for many hashes. The bits are dealt out to the
    bands by how much they tell, so that the constant ones share out evenly.

    Parameters
    ----------
    asked : ndarray of uint64, [A]
        Distinct hashes.
    others : ndarray of uint64, [B]
        Distinct hashes; earlier ones go first where distances are equal.
    near : int
        The largest Hamming distance.
    most : int
        A hash that has found so many is not looked at further: it keeps the nearest of those found until then. With
        fewer neighbours all are found.

    Returns
    -------
    asked, others, distances : ndarray of int64, [P]
        Positions of the pairs and their distances, ordered by `asked`, distance, `others`.
    """
    best = np.zeros((3, 0), np.int64)  # rows: asked, distance, other
    if not len(asked) or not len(others):
        return best[0], best[2], best[1]
    agree = 2 + sum(len(others) >= size for size in _MANY)
    wanting = np.arange(len(asked))
    for bands in combinations(_bands(others, near + agree), agree):
        bits = np.concatenate(bands)
        waiting = [best]
        for place, right in _agreeing(_extract(asked[wanting], bits), _extract(others, bits)):
            left = wanting[place]
            distance = np.bitwise_count(asked[left] ^ others[right]).astype(np.int64)
            close = distance <= near
            waiting.append(np.stack([left[close], distance[close], right[close]]))
            if sum(part.shape[1] for part in waiting[1:]) >= _PAIRS_AT_ONCE:
                waiting = [_keep(waiting, most)]
        best = _keep(waiting, most)
        wanting = np.flatnonzero(np.bincount(best[0], minlength=len(asked)) < most)
    return best[0], best[2], best[1]


def _bands(hashes: np.ndarray, count: int) -> list[np.ndarray]:
    order = np.argsort(np.abs(_shares(hashes) - 0.5), kind="stable")
    return [order[start::count] for start in range(count)]


def _shares(hashes: np.ndarray) -> np.ndarray:
    """Return how often each of the 64 bits is set, the lowest first."""
    return np.array([np.count_nonzero(hashes >> np.uint64(bit) & np.uint64(1)) / len(hashes) for bit in range(_BITS)])


def _extract(hashes: np.ndarray, bits: np.ndarray) -> np.ndarray:
    found = np.zeros(len(hashes), np.uint64)
    for place, bit in enumerate(bits.tolist()):
        found |= (hashes >> np.uint64(bit) & np.uint64(1)) << np.uint64(place)
    return found


def _agreeing(asked: np.ndarray, others: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the positions of all pairs of equal values, so many at a time that memory stays bounded."""
    order = np.argsort(others, kind="stable")
    sorted_others = others[order]
    start = np.searchsorted(sorted_others, asked, "left")
    count = np.searchsorted(sorted_others, asked, "right") - start
    ends = np.cumsum(count)
    done = 0
    while done < len(asked):
        before = ends[done - 1] if done else 0
        stop = max(done + 1, int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, "right")))
        rows = np.arange(done, stop)
        left = np.repeat(rows, count[rows])
        within = np.arange(len(left)) - np.repeat(ends[rows] - count[rows] - before, count[rows])
        yield left, order[np.repeat(start[rows], count[rows]) + within]
        done = stop


def _keep(parts: list[np.ndarray], most: int) -> np.ndarray:
    """Join pairs, each once, and keep the nearest of each first position."""
    pairs = np.concatenate(parts, axis=1)
    pairs = pairs[:, np.lexsort((pairs[2], pairs[1], pairs[0]))]
    if not pairs.shape[1]:
        return pairs
    fresh = np.ones(pairs.shape[1], np.bool_)
    fresh[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    pairs = pairs[:, fresh]
    first = np.searchsorted(pairs[0], pairs[0], "left")
    return pairs[:, np.arange(pairs.shape[1]) - first < most]


MOST = 3
"""So many others are listed at most for one test row, field and kind."""


class Leak(NamedTuple):
    """A test row and a row of train or dev with the same content in a field, or nearly the same."""

    test: int
    other: int
    field: str
    kind: str
    distance: int


def equal_content(keys: np.ndarray, present: np.ndarray, parts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pair the test rows with the rows of train and dev that have the same content.

    Parameters
    ----------
    keys : ndarray of uint8, [N, 32]
        Content keys of one field.
    present : ndarray of bool, [N]
        Which rows have that field.
    parts : sequence of str, length N
        train, dev or test.

    Returns
    -------
    test, other : ndarray of int64, [P]
        Rows, ordered; of one test row at most `MOST` others, the first ones.
    """
    tested = np.asarray(parts) == "test"
    asked, rest = np.flatnonzero(tested & present), np.flatnonzero(~tested & present)
    content = sortable(keys)
    order = rest[np.argsort(content[rest], kind="stable")]
    start = np.searchsorted(content[order], content[asked], "left")
    count = np.minimum(np.searchsorted(content[order], content[asked], "right") - start, MOST)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(asked, count), order[np.repeat(start, count) + within]


def near_pictures(
    hashes: np.ndarray, known: np.ndarray, keys: np.ndarray, parts: Sequence[str], near: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair the test rows with the rows of train and dev whose picture is another file that looks much the same.

    Parameters
    ----------
    hashes : ndarray of uint64, [N]
        Difference hashes of the pictures.
    known : ndarray of bool, [N]
        Which rows have one; flat hashes (see `flat`) are left out.
    keys : ndarray of uint8, [N, 32]
        Content keys of the pictures: equal files are no near-duplicates.
    parts : sequence of str, length N
        train, dev or test.
    near : int
        The largest Hamming distance.

    Returns
    -------
    test, other, distance : ndarray of int64, [P]
        Rows and their distances, ordered by test row, distance and other row; of one test row at most `MOST`
        others, and all where they are fewer.
    """
    tested = np.asarray(parts) == "test"
    usable = known & ~flat(hashes, near)
    content = sortable(keys)
    asked, others = np.unique(hashes[usable & tested]), _Shelves(hashes, content, np.flatnonzero(usable & ~tested))
    # One more than is listed: the hash that a test row shares with its own copies may hold nothing else.
    of_hash, found, apart = neighbours(asked, others.hashes, near, MOST + 1)
    pairs: list[tuple[int, int, int]] = []
    starts = np.searchsorted(of_hash, np.arange(len(asked) + 1))
    for row in np.flatnonzero(usable & tested).tolist():
        place = int(np.searchsorted(asked, hashes[row]))
        shelves = range(starts[place], starts[place + 1])
        other_rows = ((other, int(apart[at])) for at in shelves for other in others.rows(int(found[at])))
        fit = [(row, other, distance) for other, distance in other_rows if content[other] != content[row]]
        pairs += sorted(fit, key=lambda pair: (pair[2], pair[1]))[:MOST]
    columns = np.array(pairs, np.int64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


class _Shelves:
    """The rows of each hash, of each picture the first one, and no more pictures than could be listed."""

    def __init__(self, hashes: np.ndarray, content: np.ndarray, rows: np.ndarray) -> None:
        _, first = np.unique(content[rows], return_index=True)
        rows = rows[np.sort(first)]
        self._rows = rows[np.argsort(hashes[rows], kind="stable")]
        self.hashes, self._starts = np.unique(hashes[self._rows], return_index=True)

    def rows(self, place: int) -> list[int]:
        start = int(self._starts[place])
        stop = int(self._starts[place + 1]) if place + 1 < len(self._starts) else len(self._rows)
        return [int(row) for row in self._rows[start : min(stop, start + MOST + 1)]]


def write_leaks(path: Path, ids: Sequence[str], leaks: Iterable[Leak]) -> None:
    """Write `test, other, field, kind, distance` as CSV, ids in place of rows, safe to open in a spreadsheet."""
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Leak._fields)
        for leak in leaks:
            writer.writerow([safe_cell(ids[leak.test]), safe_cell(ids[leak.other]), *leak[2:]])


def listed(field: str, test: np.ndarray, other: np.ndarray, distance: np.ndarray | None = None) -> Iterator[Leak]:
    """Make records of pairs of rows; without distances the pairs are equal."""
    kind = "equal" if distance is None else "near"
    apart = np.zeros(len(test), np.int64) if distance is None else distance
    for row in zip(test.tolist(), other.tolist(), apart.tolist(), strict=True):
        yield Leak(row[0], row[1], field, kind, row[2])
