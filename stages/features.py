"""Open the matrices that an entry names and make sure that row i is item i; `reduce`, `fuse` and `train` read so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stages.errors import InputError
from store import Matrix, open_matrix


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
