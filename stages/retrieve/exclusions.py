"""Which gallery items a query may find: never itself, nor its twins when they are to stay out; asked by `ranking`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.errors import InputError
from stages.items import Manifest
from stages.records import IMAGE
from stages.retrieve.params import RetrieveParams

Ints = NDArray[np.int64]
Judge = Callable[[Ints, Ints], NDArray[np.bool_]]
_STEP = 2048


@dataclass(frozen=True)
class Exclusions:
    """The rule that keeps items out of a query's gallery.

    Attributes
    ----------
    codes : tuple of int64 [N]
        An item is left out of a query's gallery when both have the same number in one of these; -1 never counts.
    """

    codes: tuple[Ints, ...] = ()

    def allow(self, queries: Ints, gallery: Ints) -> NDArray[np.bool_]:
        """Compare items by their row numbers: bool [queries, gallery]; an item never finds itself."""
        return self.allow_pairs(queries, gallery[None, :])

    def allow_pairs(self, queries: Ints, gallery: Ints) -> NDArray[np.bool_]:
        """Compare each query with items of its own, int64 [queries, m]: bool of the same shape."""
        free = queries[:, None] != gallery
        for codes in self.codes:
            own = codes[queries][:, None]
            free &= (own != codes[gallery]) | (own < 0)
        return np.asarray(free)

    def reach(self, queries: Ints, gallery: Ints) -> Ints:
        """Count the items that each query can find, int64 [queries]."""
        if not self.codes:
            return len(gallery) - np.isin(queries, gallery).astype(np.int64)
        return count_pairs(self.allow, queries, gallery)


def count_pairs(judge: Judge, queries: Ints, gallery: Ints) -> Ints:
    """Count for each query the gallery items that a judge of pairs says yes to, int64 [queries]; block by block."""
    total = np.zeros(len(queries), np.int64)
    for start in range(0, len(queries), _STEP):
        asked = slice(start, start + _STEP)
        for first in range(0, len(gallery), _STEP):
            total[asked] += judge(queries[asked], gallery[first : first + _STEP]).sum(axis=1)
    return total


def exclusions_of(params: RetrieveParams, manifest: Manifest, *, identical: bool) -> Exclusions:
    """Read what the exclusions of a system go by.

    Parameters
    ----------
    identical : bool
        Whether `exclude_identical` counts.

    Raises
    ------
    InputError
        When there is no such column of meta, or no item has a picture to compare.
    """
    codes = []
    if identical and params.exclude_identical:
        codes.append(_picture_codes(manifest))
    if params.exclude_same is not None:
        codes.append(meta_codes(manifest, params.exclude_same))
    return Exclusions(tuple(codes))


def meta_codes(manifest: Manifest, name: str) -> Ints:
    """Return numbers for the values of a column of meta, int64 [N]; -1 where there is none."""
    known: dict[str, int] = {}
    values = manifest.meta(name)
    return np.array([-1 if value is None else known.setdefault(value, len(known)) for value in values], np.int64)


def _picture_codes(manifest: Manifest) -> Ints:
    keys, present = manifest.keys(IMAGE)
    if not present.any():
        raise InputError("exclude_identical: expected items with pictures, found none; remove it")
    _, codes = np.unique(keys, axis=0, return_inverse=True)
    return np.where(present, codes.reshape(-1), -1).astype(np.int64)
