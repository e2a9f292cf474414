"""Finds hashes within a few bits of each other without comparing every pair; pure, called by `leaks`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

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
