"""Who asks, who may be found, and whom a query never finds: itself, nor its twins when they stay out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.retrieve.features import kinds_of, missing_some, offered_inputs
from stages.retrieve.params import RetrieveParams
from store.errors import InputError
from store.items.manifest import Manifest
from store.items.records import IMAGE

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


Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Roles:
    """The rows of a retrieval, as row numbers of the manifest in its order.

    Attributes
    ----------
    queries, gallery : int64 [Q], int64 [G]
        Who asks and who may be found.
    fit : int64 [F]
        The rows of the train part: all that a scaling or a clustering may learn from.
    counts : mapping of str to int
        ``n_gallery``; for both roles, how many rows of the part had no input or no label and stay out; of a system of
        several inputs, also how many of those that take part lack some of them.
    """

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    fit: NDArray[np.int64]
    counts: Mapping[str, int]


def cast_roles(
    params: RetrieveParams, parts: NDArray[np.str_], given: NDArray[np.str_] | None, inputs: Bools, labelled: Bools
) -> Roles:
    """Give every row its role.

    Parameters
    ----------
    params : RetrieveParams
        Which parts ask and answer.
    parts : str [N]
        train, dev or test.
    given : str [N] or None
        The roles that the split gives, for ``gallery: split``.
    inputs : bool [M, N]
        Which rows have which input. A query needs one that some row of the gallery has.
    labelled : bool [N]
        Whether the row has a label to judge relevance by.

    Raises
    ------
    InputError
        When there is no query, or nothing to be found.
    """
    asked, offered = _parties(params, parts, given)
    usable = inputs.any(axis=0)
    gallery = np.flatnonzero(offered & usable & labelled)
    comparable = inputs[offered_inputs(inputs, gallery)].any(axis=0) if len(gallery) else usable
    queries = np.flatnonzero(asked & comparable & labelled)
    counts = {
        "n_gallery": len(gallery),
        "n_gallery_without_input": int((offered & ~usable).sum()),
        "n_gallery_unlabelled": int((offered & usable & ~labelled).sum()),
        "n_queries_without_input": int((asked & ~comparable).sum()),
        "n_queries_unlabelled": int((asked & comparable & ~labelled).sum()),
    }
    if len(inputs) > 1:
        counts |= {"n_gallery_missing_some": missing_some(inputs, gallery)}
        counts |= {"n_queries_missing_some": missing_some(inputs, queries)}
    if not len(queries):
        whose = "rows whose role is query" if given is not None else f"{params.asking} rows"
        raise InputError(
            f"expected labelled {whose} with an input to ask with, found none among {int(asked.sum())}; "
            "choose another query part or mend the split"
        )
    if not len(gallery):
        raise InputError(
            f"expected labelled gallery rows with an input, found none among {int(offered.sum())}; "
            "choose another gallery or mend the split"
        )
    return Roles(queries, gallery, np.flatnonzero(usable & labelled & (parts == "train")), counts)


def _parties(params: RetrieveParams, parts: NDArray[np.str_], given: NDArray[np.str_] | None) -> tuple[Bools, Bools]:
    """Tell which rows are meant to ask, and which to be found."""
    if given is not None:
        return given == "query", given == "gallery"
    asked = parts == params.asking
    offered = {"train": parts == "train", "rest": ~asked, "all": np.ones(len(parts), np.bool_)}
    return asked, offered[params.gallery]


def check_reach(params: RetrieveParams, roles: Roles, exclusions: Exclusions, inputs: Bools) -> None:
    """Refuse a k that is larger than what some query can find.

    Parameters
    ----------
    inputs : bool [M, N]
        Which rows have which input: a query finds those that share one with it.

    Raises
    ------
    InputError
        It states the largest k that every query can have, or how many can have nothing at all.
    """
    reaches = np.zeros(len(roles.queries), np.int64)
    for kind in kinds_of(inputs, roles.queries, roles.gallery):
        reaches[kind.queries] = exclusions.reach(roles.queries[kind.queries], roles.gallery[kind.gallery])
    reach = int(reaches.min())
    if reach == 0:
        raise InputError(
            f"expected gallery items that every query can find, found none for {int((reaches == 0).sum())} of "
            f"{len(reaches)} queries, for which all are excluded; choose a larger gallery or exclude less"
        )
    if max(params.k) > reach:
        raise InputError(
            f"expected k of at most {reach}, the gallery items that every query can find"
            f"{' and shares an input with' if missing_some(inputs, roles.queries) else ''}, found {max(params.k)}; "
            "lower k or choose gallery: all"
        )
