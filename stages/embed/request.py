"""What one `embed` run wants: the distinct contents of its inputs; `compute` fills it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.encoders.inputs import Inputs
from store import key_array, text_key

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """The distinct contents to be embedded.

    Attributes
    ----------
    keys : ndarray of uint8, [U, 32]
        One content key per distinct content, in the order of their first rows: what is computed together then lies
        together in the store, and the export reads each segment about once.
    first : ndarray of int64, [U]
        The first manifest row with that content; -1 for an empty text that no row has.
    inverse : ndarray of int64, [N]
        For each manifest row its position in `keys`, -1 when the input is absent.
    empty : int
        Position in `keys` of the empty text, whose vector serves as the missing one; -1 when not wanted.
    """

    keys: NDArray[np.uint8]
    first: Rows
    inverse: Rows
    empty: int


def make_request(inputs: Inputs, *, with_empty: bool) -> Request:
    """Collect the distinct contents: equal texts, pictures or pairs are encoded once.

    Parameters
    ----------
    with_empty : bool
        Whether the empty text is wanted too, to serve as the missing vector.

    Raises
    ------
    InputError
        When the manifest has no such field.
    """
    keys, present = inputs.keys()
    count = len(keys)
    # The empty text comes as one more row behind the last.
    keys = np.concatenate([keys, key_array([text_key("")])])
    rows = np.flatnonzero(np.append(present, with_empty))
    # Viewed as 32-byte records: numpy's string types would drop trailing zero bytes.
    records = np.ascontiguousarray(keys[rows]).view(np.dtype((np.void, keys.shape[1]))).ravel()
    _, first, inverse = np.unique(records, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    everywhere = np.full(count + 1, -1, dtype=np.int64)
    everywhere[rows] = place[inverse]
    first_rows = rows[first[order]]
    return Request(keys[first_rows], np.where(first_rows < count, first_rows, -1), everywhere[:-1], int(everywhere[-1]))
