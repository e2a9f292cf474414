"""Opens a matrix as `write_matrix` left it, maps it and checks it; `reader` is what comes of it.

A file that another tool packed anew holds the same numbers, but cannot be mapped: it is refused, and so is a URL.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from store.errors import CorruptMatrix, UnsupportedFormat, UnsupportedStore
from store.matrices import hdf5, zarr
from store.matrices.contents import Content, path_format
from store.matrices.reader import Matrix
from store.trust.verified import FileStamp, VerifiedFiles, memory_in

_REMEDY = "delete it and run `dvc repro`, or fetch it again with `dvc pull`"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")


def open_matrix(
    path: Path | str, *, verify: bool = True, memory: Path | None = None, expected_digest: str | None = None
) -> Matrix:
    """Open a matrix; its vectors are not loaded, and what lies beside them is not even read.

    Parameters
    ----------
    path : Path or str
        A file of this machine; ends in ``.zarr.zip`` or ``.h5``.
    verify : bool
        Compare ids, masks and vectors with their digests first (reads them once), and each array beside the vectors
        when it is first asked for.
    memory : Path, optional
        A folder that remembers which files were verified, so that an unchanged one is not read again; see `verified`.
        Without it, the one that `remember_verifications` set, if any.
    expected_digest : str, optional
        What the matrix's digest must be, as its git-tracked card says.

    Raises
    ------
    CorruptMatrix
        When the file is incomplete, altered, packed anew by another tool, not ours, or not the expected one.
    UnsupportedFormat
        When a newer version wrote it.
    UnsupportedStore
        When it is given as a URL.
    FileNotFoundError
        When there is none.
    """
    place = _local(path)
    kind = path_format(place)
    with _told(place):
        content = zarr.read(place) if kind == "zarr.zip" else hdf5.read(place)
        _check_content(content, expected_digest)
        vouch = functools.partial(_verify, stamp=content.stamp, memory=memory_in(memory)) if verify else None
        matrix = Matrix(place, content, vouch)
        if vouch is not None:
            vouch(matrix, "")
    return matrix


def _local(path: Path | str) -> Path:
    if isinstance(path, str) and (scheme := _SCHEME.match(path)):
        # The URL itself is not shown: it may hold a password.
        raise UnsupportedStore(
            f"expected a matrix by its path on this machine, found a URL ({scheme[0][:20]}...); fetch the file, for "
            "example with `dvc pull`, and name its path"
        )
    return Path(path)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Name the file in whatever the body raises, and say what to do."""
    try:
        yield
    except UnsupportedFormat as error:
        raise UnsupportedFormat(f"matrix {path}: {error}") from error
    except CorruptMatrix:
        raise
    except ValueError as error:
        raise CorruptMatrix(f"matrix {path} is damaged or not ours: {error}; {_REMEDY}") from error


def _verify(matrix: Matrix, array: str, *, stamp: FileStamp, memory: VerifiedFiles | None) -> None:
    """Verify an array beside the vectors, or all but these when its name is "", unless that is remembered."""
    path, about = matrix.path, (matrix.digest, matrix.attributes.get("format_version"), array)
    with _told(path):
        if memory is None:
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
