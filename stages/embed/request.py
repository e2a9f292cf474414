"""What one `embed` run wants: the distinct contents of a field, and how to read one of them; `compute` fills it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.encoders.catalog import Kind
from stages.errors import InputError, ItemError
from stages.items import Manifest, read_regular_file, resolve_below
from store import image_key, key_array, text_key

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """The distinct contents to be embedded.

    Attributes
    ----------
    keys : ndarray of uint8, [U, 32]
        One content key per distinct content; the last one is the empty text when `with_empty`.
    first : ndarray of int64, [U]
        The first manifest row with that content; -1 for the empty text.
    inverse : ndarray of int64, [N]
        For each manifest row its position in `keys`, -1 when the input is absent.
    with_empty : bool
        Whether the empty text was added, to serve as the missing vector.
    """

    keys: NDArray[np.uint8]
    first: Rows
    inverse: Rows
    with_empty: bool


def make_request(manifest: Manifest, field: str, *, with_empty: bool) -> Request:
    """Collect the distinct contents of `field`: equal texts or pictures are encoded once."""
    keys, present = manifest.keys(field)
    rows = np.flatnonzero(present)
    # Viewed as 32-byte records: numpy's string types would drop trailing zero bytes.
    records = np.ascontiguousarray(keys[rows]).view(np.dtype((np.void, keys.shape[1]))).ravel()
    _, first, inverse = np.unique(records, return_index=True, return_inverse=True)
    distinct, first_rows = keys[rows][first], rows[first]
    if with_empty:
        distinct = np.concatenate([distinct, key_array([text_key("")])])
        first_rows = np.append(first_rows, -1)
    everywhere = np.full(len(manifest), -1, dtype=np.int64)
    everywhere[rows] = inverse
    return Request(distinct, first_rows.astype(np.int64), everywhere, with_empty)


def loader(manifest: Manifest, field: str, kind: Kind, request: Request, wanted: Rows) -> Callable[[int], str | bytes]:
    """Return a function from a position in `wanted` (positions in `request.keys`) to the raw item.

    The texts or paths of `wanted` are read at once, so callers hand in bounded slices.
    """
    rows = request.first[wanted]
    real = rows[rows >= 0]
    if kind == "text":
        texts = iter(manifest.texts(field, real))
        raw = ["" if row < 0 else next(texts) or "" for row in rows]
        return raw.__getitem__
    paths = manifest.images(real)
    root = Path(manifest.info.root)
    return lambda item: _read_image(root, paths[item], request.keys[wanted[item]])


def _read_image(root: Path, relative: str | None, key: NDArray[np.uint8]) -> bytes:
    try:
        encoded = read_regular_file(resolve_below(root, relative or ""))
    except InputError as error:
        raise ItemError(str(error)) from error
    if image_key(encoded) != key.tobytes():
        raise ItemError(f"{relative}: the file changed since `diptych prepare` read it; run `dvc repro` again")
    return encoded
