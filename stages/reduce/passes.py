"""The two passes over a matrix, train rows summed and all rows projected, each in pieces that depend on nothing else.

`run` does them one after the other; `apart` has workers do them. The pieces are the same, and so is the arithmetic.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.fusions.pca import SAMPLE, WIDEST, PcaProjection, Scatter
from store import Matrix

Ints = NDArray[np.int64]
_ROWS, _VALUES = 8192, 1 << 24  # the most that a block may hold: wide rows come a few at a time
# The least rows of a piece: so many train rows are summed in one chain. The products that it leaves take a fortieth of
# the room of the vectors that went into it where these have 768 numbers, a fourth where they have 8,192.
_PIECE = 1 << 16


def block_rows(width: int) -> int:
    """Tell how many rows of a width are read at once."""
    return max(1, min(_ROWS, _VALUES // width))


def pieces(count: int, block: int) -> list[tuple[int, int]]:
    """Cut rows 0 to `count` into pieces of whole blocks: begin and end of each."""
    size = -(-_PIECE // block) * block
    return [(start, min(start + size, count)) for start in range(0, count, size)]


@dataclass(frozen=True)
class Source:
    """A matrix, its usable train rows, int64 [n], and how many rows of it are read at once."""

    matrix: Matrix
    train: Ints
    block: int

    def scatter(self, start: int, stop: int) -> Scatter:
        """Sum the train rows at some positions, measured from an origin that all pieces share."""
        scatter = Scatter(self.matrix.rows(self.train[:SAMPLE]))
        for begin in range(start, stop, self.block):
            scatter.update(self.matrix.rows(self.train[begin : min(begin + self.block, stop)]))
        return scatter

    def projected(self, projection: PcaProjection, start: int, stop: int) -> Iterator[NDArray[np.float32]]:
        """Project rows of the matrix, block by block: [rows, components] each."""
        for begin in range(start, stop, self.block):
            yield projection.transform(self.matrix.block(begin, min(begin + self.block, stop)))


class Here:
    """Does both passes in this process."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def fit(self, projection: PcaProjection) -> None:
        """Fit on the train rows."""
        source = self._source
        if source.matrix.dim > WIDEST:
            train, step = source.train, source.block
            projection.fit_blocks(source.matrix.rows(train[at : at + step]) for at in range(0, len(train), step))
            return
        first, *others = pieces(len(source.train), source.block)
        total = source.scatter(*first)
        for each in others:
            more = source.scatter(*each)
            total.add(more.products, more.count)
        projection.fit_scatter(total)

    def project(self, projection: PcaProjection) -> Generator[NDArray[np.float32], None, None]:
        """Yield all rows of the matrix projected, in their order."""
        yield from self._source.projected(projection, 0, len(self._source.matrix))
