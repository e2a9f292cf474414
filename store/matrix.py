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
from store.matrix_digest import MatrixDigest
from store.matrix_parts import (
    BLOCK_ROWS,
    FORMAT_VERSION,
    RESERVED,
    Ids,
    MatrixBlock,
    MatrixHeader,
    MatrixInfo,
    path_format,
    regroup,
)
from store.plain_json import canonical_json
from store.publish import Durability, atomic_output, make_folder
from store.zarr_matrix import ZarrMatrixWriter

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
        The most rows that a chunk of a Zarr matrix may have.

    Raises
    ------
    InvalidVectors
        For a wrong shape, dtype or number of rows, an id given twice, or a usable row that is not finite.
    TypeError
        When the attributes are not plain JSON data.
    StoreFull, StoreNotWritable
        When there is no room or no right to write.
    """
    kind = path_format(path)
    attributes = _check_header(header)
    ids = Ids.encode(header.ids)
    size = _file_size(header, ids)
    _check_room(path, size, durability)
    rows = _chunk_rows(len(header.ids), chunk_rows)
    with atomic_output(path, expected_bytes=size, durability=durability) as temporary:
        writer: ZarrMatrixWriter | Hdf5MatrixWriter
        if kind == "zarr.zip":
            writer = ZarrMatrixWriter(temporary, header, ids, rows)
        else:
            writer = Hdf5MatrixWriter(temporary, header, ids, attributes)
        try:
            digest = _stream(writer, header, ids, blocks, rows)
            info = MatrixInfo(len(header.ids), header.dim, header.dtype, digest[0])
            writer.close({**attributes, **_own_attributes(info, digest[1])})
        except BaseException:
            writer.abandon()
            raise
    return info


def _stream(
    writer: ZarrMatrixWriter | Hdf5MatrixWriter,
    header: MatrixHeader,
    ids: Ids,
    blocks: Iterable[MatrixBlock],
    rows: int,
) -> tuple[str, list[str]]:
    digest = MatrixDigest(ids, header.missing_vector, header.dtype)
    for group in regroup(header, blocks, rows):
        writer.write(group)
        digest.update(group)
    return digest.finish()


def _own_attributes(info: MatrixInfo, block_digests: list[str]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "min_reader": FORMAT_VERSION,
        "rows": info.rows,
        "dim": info.dim,
        "dtype": info.dtype,
        "digest": info.digest,
        "block_digests": block_digests,
        "complete": True,
    }


def _check_header(header: MatrixHeader) -> dict[str, Any]:
    if type(header.dim) is not int or header.dim < 1 or header.dtype not in ("float16", "float32"):
        raise InvalidVectors(
            f"expected a positive dimension and float16 or float32, found {header.dim!r} and {header.dtype!r}; "
            "correct the encoder"
        )
    missing = header.missing_vector
    if missing.shape != (header.dim,) or not np.isfinite(missing.astype(header.dtype)).all():
        raise InvalidVectors(
            f"expected a missing vector of {header.dim} finite {header.dtype} numbers, found {list(missing.shape)} "
            f"{missing.dtype}; declare another"
        )
    taken = sorted(set(header.attributes) & set(RESERVED))
    if taken:
        raise InvalidVectors(f"expected attributes of other names, found {', '.join(taken)}; rename them")
    attributes = dict(header.attributes)
    canonical_json(attributes)  # refuses what is not plain data before anything is written
    return attributes


def _chunk_rows(total: int, limit: int) -> int:
    """Cut all rows into as few chunks as the limit allows, as equal as can be: the last one is padded to full size."""
    chunks = max(1, -(-total // limit))
    return max(1, -(-total // chunks))


def _file_size(header: MatrixHeader, ids: Ids) -> int:
    row = header.dim * np.dtype(header.dtype).itemsize + ids.offsets.itemsize + 2
    return int((len(header.ids) * row + ids.utf8.nbytes) * _SPARE) + _SPARE_BYTES


def _check_room(path: Path, size: int, durability: Durability) -> None:
    make_folder(path.parent, durability)
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise StoreFull(
            f"expected room for {size} bytes at {path}, found {free} free; free some space or choose another folder"
        )
