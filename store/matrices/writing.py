"""Writes the matrix that every later stage reads: one file, `.zarr.zip` or `.h5`, aligned to a data set.

`contents` says what is in it, `zarr` and `hdf5` how it lies on disk; `opening` opens it. The caller's blocks are
checked and cut into groups as the file wants them: of all that lies in it, no more than a few groups are ever in
memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from store.errors import InvalidVectors, StoreFull
from store.files.plain_json import canonical_json
from store.files.publish import Durability, atomic_output, make_folder
from store.items.vectors import VECTOR_TYPES, Rows, finite_rows
from store.matrices.arrays import GROUP_BYTES, check_arrays, described
from store.matrices.contents import (
    BLOCK_ROWS,
    RESERVED,
    Ids,
    MatrixBlock,
    MatrixHeader,
    MatrixInfo,
    little_endian,
    path_format,
)
from store.matrices.digest import ArrayDigest, MatrixDigest
from store.matrices.hdf5 import Hdf5MatrixWriter
from store.matrices.zarr import ZarrMatrixWriter, most_chunks


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


# Above the rows themselves: padding, metadata, attributes.
_SPARE = 1.05
_SPARE_BYTES = 1 << 20


def write_matrix(
    path: Path,
    header: MatrixHeader,
    blocks: Iterable[MatrixBlock],
    *,
    durability: Durability = "full",
    chunk_rows: int = BLOCK_ROWS,
) -> MatrixInfo:
    """Write a matrix, streaming its rows; equal content gives an equal file.

    Parameters
    ----------
    path : Path
        Ends in ``.zarr.zip`` or ``.h5``; never partial, and untouched when writing fails.
    header : MatrixHeader
    blocks : iterable of MatrixBlock
        Of any size, in the order of the ids, one row for each id. A row that is not both present and ok gets the
        missing vector here.
    durability : {"full", "none"}
        "none" skips fsync: for tests only.
    chunk_rows : int
        The most rows that are written at once, as one chunk of a Zarr matrix; wide arrays ask for fewer, and very many
        rows for more: a zip of more than 100,000 members would not be opened.

    Raises
    ------
    InvalidVectors
        For a wrong shape, dtype or number of rows, an array too few or too many, an id given twice, or a usable row
        that is not finite.
    TypeError
        When the attributes are not plain JSON data.
    StoreFull, StoreNotWritable
        When there is no room or no right to write.
    """
    kind = path_format(path)
    attributes = _check_header(header)
    ids = Ids.encode(header.ids)
    rows = _chunk_rows(header, chunk_rows)
    size = _file_size(header, ids, rows)
    _check_room(path, size, durability)
    with atomic_output(path, expected_bytes=size, durability=durability) as temporary:
        writer: ZarrMatrixWriter | Hdf5MatrixWriter
        if kind == "zarr.zip":
            writer = ZarrMatrixWriter(temporary, header, ids, rows)
        else:
            writer = Hdf5MatrixWriter(temporary, header, ids, attributes)
        try:
            own = _stream(writer, header, ids, blocks, rows)
            writer.close({**attributes, **own})
        except BaseException:
            writer.abandon()
            raise
    return MatrixInfo(len(header.ids), header.dim, header.dtype, own["digest"])


def _stream(
    writer: ZarrMatrixWriter | Hdf5MatrixWriter,
    header: MatrixHeader,
    ids: Ids,
    blocks: Iterable[MatrixBlock],
    rows: int,
) -> dict[str, Any]:
    """Write all rows and give the attributes that follow from them."""
    digest = MatrixDigest(ids, header.missing_vector, header.dtype)
    array_digests = {each.name: ArrayDigest() for each in header.arrays}
    for group in regroup(header, blocks, rows):
        writer.write(group)
        digest.update(group)
        for name, values in group.arrays.items():
            array_digests[name].update(values)
    arrays = described(header.arrays)
    for name, each in array_digests.items():
        arrays[name]["block_digests"] = each.finish()
    return _own_attributes(header, digest.finish(arrays), arrays)


def _own_attributes(header: MatrixHeader, digests: tuple[str, list[str]], arrays: dict[str, Any]) -> dict[str, Any]:
    attributes = {
        "format_version": header.version,
        "min_reader": header.version,
        "rows": len(header.ids),
        "dim": header.dim,
        "dtype": header.dtype,
        "digest": digests[0],
        "block_digests": digests[1],
        "complete": True,
    }
    return attributes if header.version == 1 else {**attributes, "arrays": arrays}


def _check_header(header: MatrixHeader) -> dict[str, Any]:
    if type(header.dim) is not int or header.dim < 1 or header.dtype not in VECTOR_TYPES:
        raise InvalidVectors(
            f"expected a positive dimension and {' or '.join(VECTOR_TYPES)}, found {header.dim!r} and "
            f"{header.dtype!r}; correct the encoder"
        )
    missing = header.missing_vector
    if missing.shape != (header.dim,) or not _can_carry(missing, header.dtype):
        raise InvalidVectors(
            f"expected a missing vector of {header.dim} finite {header.dtype} numbers, found {list(missing.shape)} "
            f"{missing.dtype}; declare another"
        )
    try:
        check_arrays(header.arrays)
    except ValueError as error:
        raise InvalidVectors(f"{error}; correct the header") from error
    taken = sorted(set(header.attributes) & set(RESERVED))
    if taken:
        raise InvalidVectors(f"expected attributes of other names, found {', '.join(taken)}; rename them")
    attributes = dict(header.attributes)
    canonical_json(attributes)  # refuses what is not plain data before anything is written
    return attributes


def _can_carry(missing: Rows, dtype: str) -> bool:
    """Tell whether a missing vector is finite in its type, and whole where that is made of whole numbers."""
    with np.errstate(all="ignore"):
        cast = missing.astype(dtype)
    return bool(np.isfinite(cast).all() and (dtype != "uint8" or (cast == missing).all()))


def _row_bytes(header: MatrixHeader) -> list[int]:
    return [header.dim * np.dtype(header.dtype).itemsize, *(each.row_bytes for each in header.arrays)]


def _chunk_rows(header: MatrixHeader, limit: int) -> int:
    """Cut all rows into as few chunks as the limit allows, as equal as can be: the last one is padded to full size."""
    total = len(header.ids)
    if header.version > 1:  # files of version 1 stay as they were, byte by byte
        limit = min(limit, max(1, GROUP_BYTES // max(_row_bytes(header))))
    chunks = min(max(1, -(-total // limit)), most_chunks(1 + len(header.arrays)))
    return max(1, -(-total // chunks))


def _file_size(header: MatrixHeader, ids: Ids, rows: int) -> int:
    padded = -(-len(header.ids) // rows) * rows
    small = len(header.ids) * (ids.offsets.itemsize + 2) + ids.utf8.nbytes
    return int((padded * sum(_row_bytes(header)) + small) * _SPARE) + _SPARE_BYTES


def _check_room(path: Path, size: int, durability: Durability) -> None:
    make_folder(path.parent, durability)
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise StoreFull(
            f"expected room for {size} bytes at {path}, found {free} free; free some space or choose another folder"
        )
