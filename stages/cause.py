"""Digest all that decides a training on cached features: a saved state of another cause must not be taken up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.closure import code_of
from store import canonical_json

_LIBRARIES = ("numpy", "scikit-learn", "skorch", "torch")


def training_cause(stage: str, facts: Mapping[str, Any], arrays: Sequence[NDArray[Any]], device: str) -> str:
    """Return a hexadecimal digest of what a model follows from.

    Parameters
    ----------
    stage : str
        The module that trains, such as stages.train.run: all code that runs with it counts.
    facts : mapping
        Plain JSON values: the recipe, and the digests of the matrices.
    arrays : sequence of ndarray
        Labels and parts of the rows.
    device : str
        Its kind counts, not its number. Versions of the libraries count as well.
    """
    cause = {
        "facts": facts,
        "arrays": [_digest(each) for each in arrays],
        "device": device.partition(":")[0],
        "libraries": {name: version(name) for name in _LIBRARIES},
        "code": code_of(stage),
    }
    return hashlib.sha256(canonical_json(cause)).hexdigest()


def _digest(array: NDArray[Any]) -> list[Any]:
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return [array.dtype.str, list(array.shape), content]
