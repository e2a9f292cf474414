"""Whether a matrix, what it was made from and the model that made it still belong together: asked before new rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store import Matrix
from store.errors import InputError

REMEDY = "run `dvc repro`, and search again."


def refuse_stale(matrix: Matrix, wanted: Mapping[str, object]) -> None:
    """Refuse a matrix whose attributes do not say that it was made from what is there now.

    Raises
    ------
    InputError
        When an attribute of `wanted` has another value.
    """
    for key, value in wanted.items():
        if matrix.attributes.get(key) != value:
            raise InputError(f"{matrix.path}: expected a matrix made from the present {key}; found another; {REMEDY}")


def refuse_no_model(verb: str, folder: Path) -> None:
    """Refuse to go on without the folder of what a verb fitted.

    Raises
    ------
    InputError
        When it is not there.
    """
    if not folder.is_dir():
        raise InputError(
            f"expected what `{verb}` fitted at {folder}; found none; run `dvc repro` (or `dvc pull`) first."
        )


def refuse_other_model(folder: Path, missing: NDArray[Any], matrix: Matrix) -> None:
    """Hold a restored model against the one vector that the matrix keeps of what made it.

    Parameters
    ----------
    missing : ndarray, [D]
        What the model makes of an item without inputs.

    Raises
    ------
    InputError
        When it differs from the missing vector of the matrix by more than another machine's rounding.
    """
    stored = np.asarray(matrix.missing_vector, np.float64)
    near = 1e-3 * float(np.abs(stored).max(initial=0))
    if missing.shape != stored.shape or not np.allclose(missing, stored, 1e-3, near):
        raise InputError(f"{folder}: expected the model that made {matrix.path}; found another; {REMEDY}")
