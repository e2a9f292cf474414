"""Finds content of test that train or dev has as well, equal or nearly so; `run` reports it, nobody is moved for it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.outputs import safe_cell, write_lines
from stages.split.near import flat, neighbours
from store.key import sortable

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
