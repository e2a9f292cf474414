"""Counts equal content that stands on both sides of a split; `run` reports it, nobody is moved for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from store.key import sortable


def count_leaks(keys: np.ndarray, present: np.ndarray, parts: Sequence[str]) -> int:
    """Count the test rows whose content some train or dev row has as well.

    Parameters
    ----------
    keys : ndarray of uint8, [N, 32]
        Content keys of one field.
    present : ndarray of bool, [N]
        Which rows have that field.
    parts : sequence of str, length N
        train, dev or test.

    Returns
    -------
    int
        Such rows of test.
    """
    tested = np.asarray(parts) == "test"
    content = sortable(keys)
    return int(np.isin(content[tested & present], content[~tested & present]).sum())
