"""`diptych export matrix`: one matrix as Parquet, NPY or NPZ, for tools that read neither Zarr nor HDF5."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import paths
from pipeline.params.sections import Params
from pipeline.wiring import stated_digest
from stages.contract import Progress, Tracker
from stages.models.catalog import did_you_mean
from store import Matrix, atomic_output, open_matrix
from store.errors import InputError


def export_matrix(name: str, target: Path, params: Params, progress: Progress, *, half: bool = False) -> Matrix:
    """Write the matrix of one entry of `embed`, `reduce` or `fuse` to `target`, whole or not at all.

    Parameters
    ----------
    target : Path
        Its ending says how: `.parquet` has the columns id, present, ok and vector (a list of D numbers); `.npy` the
        vectors [N, D]; `.npz` the arrays vectors, ids, present and ok. A file that is there is replaced.
    half : bool
        Write float16 in place of float32; the bytes of `pixels` stay bytes.

    Returns
    -------
    Matrix
        What was read; its rows, in the order of the manifest, were held against its digest.

    Raises
    ------
    InputError
        When there is no such entry, its matrix was not made, or the ending is another one.
    CorruptMatrix
        When the matrix is damaged, or not the one that its card states.
    """
    write = _WRITERS.get(target.suffix)
    if write is None:
        raise InputError(f"expected a file that ends in {' or '.join(_WRITERS)}; found {target.name!r}; rename it.")
    if target.is_dir():
        raise InputError(f"expected a file to write; found the folder {target}; name a file in it.")
    matrix = _open(name, params)
    kind = np.dtype("uint8" if matrix.dtype == "uint8" else "float16" if half else "float32")
    size = len(matrix) * matrix.dim * kind.itemsize
    with (
        atomic_output(target, expected_bytes=size) as temporary,
        progress.track(f"export {name}", len(matrix)) as bar,
    ):
        write(matrix, temporary, kind, bar)
    return matrix


def _open(name: str, params: Params) -> Matrix:
    known = params.matrices.producer_of
    if name not in known:
        near = did_you_mean(name, known)
        raise InputError(f"expected an entry of embed, reduce or fuse; found {name!r}{near}; there are {list(known)}.")
    (path,) = params.matrices.features([name])
    if not path.is_file():
        raise InputError(f"expected the matrix {path}; found no file; run `dvc repro` (or `dvc pull`) first.")
    return open_matrix(path, memory=paths.VERIFIED, expected_digest=stated_digest(params.matrices, name))


def _blocks(matrix: Matrix, dtype: np.dtype[Any], bar: Tracker) -> Iterator[NDArray[Any]]:
    for block in matrix.iter_blocks():
        yield np.ascontiguousarray(block, dtype=dtype)
        bar.advance(len(block))


def _parquet(matrix: Matrix, path: Path, dtype: np.dtype[Any], bar: Tracker) -> None:
    vector = pa.list_(pa.from_numpy_dtype(dtype), matrix.dim)
    schema = pa.schema(
        [("id", pa.string()), ("present", pa.bool_()), ("ok", pa.bool_()), ("vector", vector)],
        {"diptych.digest": matrix.digest},
    )
    start = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for block in _blocks(matrix, dtype, bar):
            part = slice(start, start + len(block))
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), type=vector)
            columns = [pa.array(matrix.ids[part]), pa.array(matrix.present[part]), pa.array(matrix.ok[part]), vectors]
            writer.write_table(pa.table(columns, schema=schema))
            start = part.stop


def _npy(matrix: Matrix, path: Path, dtype: np.dtype[Any], bar: Tracker) -> None:
    with path.open("wb") as stream:
        _write_rows(stream, matrix, dtype, bar)


def _npz(matrix: Matrix, path: Path, dtype: np.dtype[Any], bar: Tracker) -> None:
    beside = {"ids": np.array(matrix.ids, dtype=np.str_), "present": matrix.present, "ok": matrix.ok}
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with archive.open("vectors.npy", "w", force_zip64=True) as stream:
            _write_rows(stream, matrix, dtype, bar)
        for name, values in beside.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, values, allow_pickle=False)


def _write_rows(stream: Any, matrix: Matrix, dtype: np.dtype[Any], bar: Tracker) -> None:
    """Write the vectors as numpy would, block by block."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (len(matrix), matrix.dim),
    }
    np.lib.format.write_array_header_1_0(stream, header)
    for block in _blocks(matrix, dtype, bar):
        stream.write(block.data)


_WRITERS: dict[str, Callable[[Matrix, Path, np.dtype[Any], Tracker], None]] = {
    ".parquet": _parquet,
    ".npy": _npy,
    ".npz": _npz,
}
