"""Checks the blocks that a caller gives for a matrix and cuts them into groups as the file wants them.

`matrix` writes group after group: of all that lies in the file, no more than a few groups are ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from store.errors import InvalidVectors
from store.matrix_parts import MatrixBlock, MatrixHeader, little_endian
from store.rows import finite_rows


def regroup(header: MatrixHeader, blocks: Iterable[MatrixBlock], rows: int) -> Iterator[MatrixBlock]:
    """Check blocks of any size and cut them into groups of exactly `rows` rows (the last may be shorter).

    Rows that are not both present and ok get the missing vector, and zeros in the other arrays.

    Raises
    ------
    InvalidVectors
        For a wrong shape, dtype or number of rows, an array too few or too many, or a usable row that is not finite.
    """
    total, start = len(header.ids), 0
    group = _empty_group(header, rows)
    for block in blocks:
        _check_block(header, block, start)
        for part in _cuts(len(block.present), rows - start % rows, rows):
            _fill(header, group, start % rows, _part(block, part))
            start += part.stop - part.start
            if start % rows == 0:
                yield group
                group = _empty_group(header, rows)
    if start != total:
        raise InvalidVectors(f"expected {total} rows, one for each id, found {start}; pass a row for each id")
    if start % rows:
        yield _part(group, slice(0, start % rows))


def _empty_group(header: MatrixHeader, rows: int) -> MatrixBlock:
    vectors = np.empty((rows, header.dim), dtype=little_endian(header.dtype))
    arrays = {each.name: np.empty((rows, *each.shape), little_endian(each.dtype)) for each in header.arrays}
    return MatrixBlock(vectors, np.empty(rows, dtype=bool), np.empty(rows, dtype=bool), arrays)


def _cuts(total: int, first: int, rows: int) -> Iterator[slice]:
    start, stop = 0, first
    while start < total:
        yield slice(start, min(stop, total))
        start, stop = stop, stop + rows


def _part(block: MatrixBlock, part: slice) -> MatrixBlock:
    arrays = {name: values[part] for name, values in block.arrays.items()}
    return MatrixBlock(block.vectors[part], block.present[part], block.ok[part], arrays)


def _fill(header: MatrixHeader, group: MatrixBlock, at: int, piece: MatrixBlock) -> None:
    part = slice(at, at + len(piece.present))
    group.present[part] = piece.present
    group.ok[part] = piece.ok
    usable = piece.present & piece.ok
    missing = header.missing_vector.astype(piece.vectors.dtype)
    group.vectors[part] = np.where(usable[:, None], piece.vectors, missing)
    for name, values in piece.arrays.items():
        group.arrays[name][part] = values
        group.arrays[name][part][~usable] = 0


def _check_block(header: MatrixHeader, block: MatrixBlock, start: int) -> None:
    n = len(block.vectors)
    shapes = (block.vectors.shape, block.present.shape, block.ok.shape)
    kinds = (block.vectors.dtype.name, block.present.dtype.name, block.ok.dtype.name)
    if shapes != ((n, header.dim), (n,), (n,)) or kinds != (header.dtype, "bool", "bool"):
        raise InvalidVectors(
            f"expected a block of {header.dtype} [n, {header.dim}] with two bool masks [n], "
            f"found {kinds} {shapes}; cast it, and pass masks as long as the vectors"
        )
    _check_arrays(header, block, n)
    if start + n > len(header.ids):
        raise InvalidVectors(f"expected {len(header.ids)} rows, one for each id, found more; pass a row for each id")
    for name, values in {"vectors": block.vectors, **block.arrays}.items():
        bad = np.flatnonzero(block.present & block.ok & ~finite_rows(values))
        if len(bad):
            raise InvalidVectors(
                f"expected finite {name} in usable rows, found another for id {header.ids[start + bad[0]]!r}; "
                "set ok to False there, or mend the encoder"
            )


def _check_arrays(header: MatrixHeader, block: MatrixBlock, n: int) -> None:
    expected = {each.name: ((n, *each.shape), each.dtype) for each in header.arrays}
    found = {name: (values.shape, values.dtype.name) for name, values in block.arrays.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InvalidVectors(
                f"expected the array {name!r} of a block as {_shown(expected.get(name))}, found "
                f"{_shown(found.get(name))}; pass the arrays that the header names, and no others"
            )


def _shown(kind: tuple[tuple[int, ...], str] | None) -> str:
    return "none" if kind is None else f"{kind[1]} {list(kind[0])}"
