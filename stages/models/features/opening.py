"""Open the matrices that an entry names and make sure that row i is item i; `reduce`, `fuse` and `train` read so.

Workers open the same ones again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from store import Matrix, open_matrix
from store.errors import InputError


def open_aligned(paths: Sequence[Path], ids: list[str], digests: Sequence[str] = ()) -> list[Matrix]:
    """Open and verify matrices [N, D_m].

    Parameters
    ----------
    digests : sequence of str
        What the git-tracked cards of the matrices state, one for each; none when the caller has no cards. A matrix can
        be whole and yet not the one that was committed: DVC may hand out a forged or an outdated one.

    Raises
    ------
    InputError
        When a file is not there, or its rows are not the items `ids` in that order.
    CorruptMatrix
        When a file is damaged, or has another digest than its card states.
    """
    matrices = []
    stated: Sequence[str | None] = digests or [None] * len(paths)
    for path, digest in zip(paths, stated, strict=True):
        if not path.is_file():
            raise InputError(f"expected the matrix {path}; found no file; run `dvc repro` (or `dvc pull`) first.")
        matrix = open_matrix(path, expected_digest=digest)
        if matrix.ids != ids:
            raise InputError(
                f"{path}: expected the {len(ids)} items of the manifest in its order; found {len(matrix.ids)} items "
                "that differ in name or order; run `dvc repro` so that the matrix is written again."
            )
        matrices.append(matrix)
    return matrices


def place_of(matrix: Matrix, verified: Path | None) -> dict[str, str | None]:
    """Say in plain JSON data which matrix a worker shall open, and where it may remember that it verified it."""
    return {
        "path": str(matrix.path.absolute()),
        "digest": matrix.digest,
        "verified": None if verified is None else str(verified.absolute()),
    }


def open_place(place: Mapping[str, str | None]) -> Matrix:
    """Open on a worker the matrix that `place_of` names; it is verified unless this very file was before.

    Raises
    ------
    InputError
        When there is no such file here.
    CorruptMatrix
        When it is damaged, or another matrix.
    """
    path, verified = Path(str(place["path"])), place["verified"]
    if not path.is_file():
        raise InputError(f"expected the matrix {path}; found no file; mount the project's folder under the same path.")
    return open_matrix(path, memory=Path(verified) if verified else None, expected_digest=place["digest"])
