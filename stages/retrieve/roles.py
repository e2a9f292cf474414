"""Who asks, who may be found and who stays out of a retrieval, by part and presence: between `run` and `ranking`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.errors import InputError
from stages.retrieve.params import RetrieveParams


@dataclass(frozen=True)
class Roles:
    """The rows of a retrieval, as row numbers of the manifest in its order.

    Attributes
    ----------
    queries, gallery : int64 [Q], int64 [G]
        Who asks and who may be found.
    fit : int64 [F]
        The gallery rows of the train part: all that a scaling may learn from.
    counts : mapping of str to int
        ``n_gallery`` and, for both roles, how many rows of the part had no input or no label.
    """

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    fit: NDArray[np.int64]
    counts: Mapping[str, int]

    @property
    def own(self) -> bool:
        """Whether the gallery holds the queries themselves."""
        return bool(np.isin(self.queries, self.gallery).any())


def cast_roles(
    params: RetrieveParams, parts: NDArray[np.str_], usable: NDArray[np.bool_], labelled: NDArray[np.bool_]
) -> Roles:
    """Give every row its role.

    Parameters
    ----------
    params : RetrieveParams
        Which parts ask and answer.
    parts : str [N]
        train, dev or test.
    usable, labelled : bool [N]
        Whether the row has any of the inputs, and a label to judge relevance by.

    Raises
    ------
    InputError
        When there is no query, or the longest k is larger than what a query can find.
    """
    asked, offered = parts == params.query, (parts == "train") | (params.gallery == "all")
    able = usable & labelled
    queries, gallery = np.flatnonzero(asked & able), np.flatnonzero(offered & able)
    counts = {
        "n_gallery": len(gallery),
        "n_gallery_without_input": int((offered & ~usable).sum()),
        "n_gallery_unlabelled": int((offered & usable & ~labelled).sum()),
        "n_queries_without_input": int((asked & ~usable).sum()),
        "n_queries_unlabelled": int((asked & usable & ~labelled).sum()),
    }
    roles = Roles(queries, gallery, np.flatnonzero(able & (parts == "train")), counts)
    _check(params, roles, int(asked.sum()))
    return roles


def _check(params: RetrieveParams, roles: Roles, asked: int) -> None:
    if not len(roles.queries):
        raise InputError(
            f"expected labelled {params.query} rows with an input to ask with, found none among {asked}; "
            "choose another query part or mend the split"
        )
    reach = len(roles.gallery) - int(roles.own)
    if max(params.k) > reach:
        raise InputError(
            f"expected k of at most {reach}, the gallery items that a query can find, found {max(params.k)}; "
            "lower k or choose gallery: all"
        )
