"""Opens a matrix, mapped where that is possible and through the format's library where not, and checks it.

`matrix_reader` is what comes of it. A file of our own on a disk is mapped; one that another tool packed anew, or that
lies behind a URL, is read piece by piece: as safe, slower, and `Matrix.mapped` tells.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from store import hdf5_matrix, library_hdf5, zarr_matrix
from store.errors import CorruptMatrix, UnsupportedFormat, UnsupportedStore
from store.matrix_parts import Content, path_format
from store.matrix_reader import Matrix
from store.remote import local_path, open_remote
from store.vectors import Repacked
from store.verified import FileStamp, VerifiedFiles, memory_in

_REMEDY = "delete it and run `dvc repro`, or fetch it again with `dvc pull`"


def open_matrix(
    path: Path | str, *, verify: bool = True, memory: Path | None = None, expected_digest: str | None = None
) -> Matrix:
    """Open a matrix; its vectors are not loaded, and what lies beside them is not even read.

    Parameters
    ----------
    path : Path or str
        Ends in ``.zarr.zip`` or ``.h5``; a str may also be a URL that fsspec knows (``s3://bucket/m.h5``).
    verify : bool
        Compare ids, masks and vectors with their digests first (reads them once), and each array beside the vectors
        when it is first asked for.
    memory : Path, optional
        A folder that remembers which files were verified, so that an unchanged one is not read again; see `verified`.
        Without it, the one that `remember_verifications` set, if any. A file behind a URL is verified each time.
    expected_digest : str, optional
        What the matrix's digest must be, as its git-tracked card says.

    Raises
    ------
    CorruptMatrix
        When the file is incomplete, altered, not a matrix of ours, or not the expected one.
    UnsupportedFormat
        When a newer version wrote it.
    UnsupportedStore
        When the URL is of a kind that is not served.
    FileNotFoundError
        When there is none.
    """
    place = local_path(path)
    path_format(place)
    with _told(place):
        content = _read_local(place) if isinstance(place, Path) else _read_library(open_remote(place), place, None)
        _check_content(content, expected_digest)
        vouch = functools.partial(_verify, stamp=content.stamp, memory=memory_in(memory)) if verify else None
        matrix = Matrix(place, content, vouch)
        if vouch is not None:
            vouch(matrix, "")
    return matrix


@contextlib.contextmanager
def _told(place: Path | str) -> Iterator[None]:
    """Name the file in whatever the body raises, and say what to do."""
    try:
        yield
    except UnsupportedFormat as error:
        raise UnsupportedFormat(f"matrix {place}: {error}") from error
    except (CorruptMatrix, UnsupportedStore):
        raise
    except ValueError as error:
        raise CorruptMatrix(f"matrix {place} is damaged or not ours: {error}; {_REMEDY}") from error


def _read_local(path: Path) -> Content:
    try:
        return zarr_matrix.read(path) if path_format(path) == "zarr.zip" else hdf5_matrix.read(path)
    except Repacked:
        stream = path.open("rb")
        return _read_library(stream, str(path), FileStamp.of(stream.fileno()))


def _read_library(stream: IO[bytes], name: str, stamp: FileStamp | None) -> Content:
    try:
        if path_format(name) == "h5":
            return library_hdf5.read(stream, stamp)
        from store import library_zarr  # zarr takes half a second to import, and few need it

        return library_zarr.read(stream, stamp)
    except BaseException:
        stream.close()
        raise


def _verify(matrix: Matrix, array: str, *, stamp: FileStamp | None, memory: VerifiedFiles | None) -> None:
    """Verify an array beside the vectors, or all but these when its name is "", unless that is remembered."""
    path, about = matrix.path, (matrix.digest, matrix.attributes.get("format_version"), array)
    with _told(path):
        if memory is None or stamp is None or not isinstance(path, Path):
            matrix.verify_array(array) if array else matrix.verify()
        elif not memory.knows(path, stamp, *about):
            matrix.verify_array(array) if array else matrix.verify()
            memory.remember(path, stamp, *about)


def _check_content(content: Content, expected_digest: str | None) -> None:
    """Hold the attributes against the arrays and against what the caller expects."""
    attributes = content.attributes
    if attributes.get("complete") is not True:
        raise ValueError("expected the mark `complete`, found none: writing it was never finished")
    found = (*content.vectors.shape, content.vectors.dtype.name)
    stated = tuple(attributes.get(name) for name in ("rows", "dim", "dtype"))
    if found != stated:
        raise ValueError(f"expected rows, dimension and dtype {stated}, found {found}")
    digest, blocks = attributes.get("digest"), attributes.get("block_digests")
    if not isinstance(digest, str) or not isinstance(blocks, list):
        raise ValueError("expected the attributes digest and block_digests, found none")  # noqa: TRY004 (a bad file)
    if expected_digest not in (None, digest):
        raise ValueError(f"expected the digest {expected_digest} that its card states, found {digest}")
