"""Digest all that decides a training on cached features: a saved state of another cause must not be taken up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store import canonical_json

_LIBRARIES = ("numpy", "scikit-learn", "skorch", "torch")
_CODE = ("fusions", "heads", "epochs.py", "training_state.py")


def training_cause(facts: Mapping[str, Any], arrays: Sequence[NDArray[Any]], device: str) -> str:
    """Return a hexadecimal digest of what a model follows from.

    Parameters
    ----------
    facts : mapping
        Plain JSON values: the recipe, and the digests of the matrices.
    arrays : sequence of ndarray
        Labels and parts of the rows.
    device : str
        Its kind counts, not its number. Versions of the libraries and our own code count as well.
    """
    cause = {
        "facts": facts,
        "arrays": [_digest(each) for each in arrays],
        "device": device.partition(":")[0],
        "libraries": {name: version(name) for name in _LIBRARIES},
        "code": {path.as_posix(): hashlib.sha256(content).hexdigest() for path, content in _code()},
    }
    return hashlib.sha256(canonical_json(cause)).hexdigest()


def _digest(array: NDArray[Any]) -> list[Any]:
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return [array.dtype.str, list(array.shape), content]


def _code() -> Iterator[tuple[Path, bytes]]:
    here = Path(__file__).parent
    for name in _CODE:
        for path in sorted((here / name).rglob("*.py")) or [here / name]:
            yield path.relative_to(here), path.read_bytes()
