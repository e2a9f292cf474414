"""Writes the matrix that every later stage reads: one file, `.zarr.zip` or `.h5`, aligned to a data set.

`matrix_parts` says what is in it, `zarr_matrix` and `hdf5_matrix` how it lies on disk; `matrix_opening` opens it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from store.errors import InvalidVectors, StoreFull
from store.hdf5_matrix import Hdf5MatrixWriter
from store.matrix_arrays import GROUP_BYTES, check_arrays, described
from store.matrix_digest import ArrayDigest, MatrixDigest
from store.matrix_groups import regroup
from store.matrix_parts import (
    BLOCK_ROWS,
    RESERVED,
    Ids,
    MatrixBlock,
    MatrixHeader,
    MatrixInfo,
    path_format,
)
from store.plain_json import canonical_json
from store.publish import Durability, atomic_output, make_folder
from store.rows import VECTOR_TYPES, Rows
from store.zarr_matrix import ZarrMatrixWriter, most_chunks

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
