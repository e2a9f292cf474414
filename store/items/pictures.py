"""Reads the picture of an item, and makes sure that it is the one that `prepare` saw; `fit` and `embed` read by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError, ItemError
from store.files.reading import read_regular_file, resolve_below
from store.items.keys import image_key


def read_picture(root: Path, relative: str, key: NDArray[np.uint8]) -> bytes:
    """Read the encoded bytes of one picture.

    Parameters
    ----------
    root : Path
        The folder that the manifest's paths are relative to.
    relative : str
        The path as the manifest gives it.
    key : ndarray of uint8, [32]
        The content key that the manifest gives.

    Raises
    ------
    ItemError
        When it cannot be read, or has changed since.
    """
    try:
        encoded = read_regular_file(resolve_below(root, relative))
    except InputError as error:
        raise ItemError(str(error)) from error
    except OSError as error:
        # Without the absolute path of the system's own message: the list of failures is the same on every machine.
        raise ItemError(f"{relative}: {error.strerror}") from error
    if image_key(encoded) != key.tobytes():
        raise ItemError(
            f"{relative}: the file changed since `diptych prepare` read it; run `dvc repro --force prepare`"
        )
    return encoded
