"""Finds unequal texts that got one vector, since the encoder cannot tell them apart; `export` shows it every row."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed.request import Rows
from store import cosines

EQUAL = 0.99999
"""Cosine from which two vectors count as equal: half precision and another batch move equal ones by less."""

_DIRECTIONS = 4
_CELL = 0.02  # of a projection, whose deviation is 1: hundreds of cells in each direction, and rounding leaves them

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Alike:
    """How many distinct texts have the vector of another one, of how many, and one such pair ("" without any)."""

    texts: int = 0
    of: int = 0
    example: tuple[str, str] = ("", "")


class VectorCells:
    """Puts each vector into a cell of a few random projections: equal vectors fall into one, and few others do.

    Parameters
    ----------
    contents : int
        How many distinct contents there are.
    width : int
        Width of their vectors.
    """

    def __init__(self, contents: int, width: int) -> None:
        self._cells = np.zeros(contents, dtype=np.int64)
        self._seen = np.zeros(contents, dtype=np.bool_)
        self._directions = np.random.default_rng(0).standard_normal((width, _DIRECTIONS)).astype(np.float32)

    def add(self, contents: Rows, vectors: Vectors) -> None:
        """Take the vectors [n, D] of contents [n]; one of zeros says nothing, and is left out."""
        rows = vectors.astype(np.float32)
        norms = np.linalg.norm(rows, axis=1)
        some = norms > 0
        at = (rows[some] / norms[some, None]) @ self._directions / _CELL
        cells = np.clip(np.rint(at), -32768, 32767).astype(np.int16)
        self._cells[contents[some]] = np.ascontiguousarray(cells).view(np.int64).ravel()
        self._seen[contents[some]] = True

    def pairs(self) -> tuple[Rows, Rows]:
        """Return contents that share a cell: of each cell its first, as often as there are others, and the others."""
        contents = np.flatnonzero(self._seen)
        _, first, inverse = np.unique(self._cells[contents], return_index=True, return_inverse=True)
        firsts = contents[first[inverse]]
        others = firsts != contents
        return firsts[others], contents[others]

    @property
    def seen(self) -> int:
        """How many contents have a vector."""
        return int(np.count_nonzero(self._seen))


def alike(
    cells: VectorCells, read: Callable[[Rows], Vectors], texts: Callable[[Rows], list[str]], most: int = 8192
) -> Alike:
    """Count the texts whose vector an earlier, unequal text has; those that differ in case or accents count as equal.

    Parameters
    ----------
    cells : VectorCells
        All vectors.
    read, texts : callable
        Give the vectors [n, D] and the texts of contents [n].
    most : int
        The largest n.
    """
    count, example = 0, ("", "")
    for first, other in _slices(*cells.pairs(), most):
        equal = cosines(read(first), read(other)) >= EQUAL
        for one, two in zip(texts(first[equal]), texts(other[equal]), strict=True):
            if plain(one) != plain(two):
                count, example = count + 1, example if count else (one, two)
    return Alike(count, cells.seen, example)


def _slices(first: Rows, other: Rows, most: int) -> Iterator[tuple[Rows, Rows]]:
    for start in range(0, len(first), most):
        yield first[start : start + most], other[start : start + most]


def plain(text: str) -> str:
    """Drop what encoders drop by intent: case, accents, blanks."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in parts if not unicodedata.combining(sign) and not sign.isspace())
