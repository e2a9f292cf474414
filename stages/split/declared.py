"""Honours the split that a data set declares itself; pure, called by `run`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from stages.errors import InputError
from stages.split.partition import cut_dev


def honour(
    ids: Sequence[str], groups: Sequence[str], declared: Sequence[str | None], dev: float, seed: int
) -> list[str]:
    """Take the declared parts, cutting a dev part from train where none is declared.

    Parameters
    ----------
    ids, groups : sequence of str, length N
        The items and their groups.
    declared : sequence of str or None, length N
        The part that the data set gives each item.
    dev : float
        Share of the train rows to cut, if no row is declared dev.
    seed : int
        Of the order of the groups in that cut.

    Returns
    -------
    list of str, length N
        train, dev or test.

    Raises
    ------
    InputError
        When a row has no part, a part that must exist has no row, or a group stands in two parts.
    """
    parts = _complete(ids, declared)
    for part in ("train", "test"):
        if part not in parts:
            raise InputError(
                f"expected rows declared {part}, found none; mend the column of the split, or leave it out of "
                "prepare.table.split"
            )
    refuse_straddlers(groups, parts, "declared part")
    return parts if "dev" in parts else cut_dev(groups, parts, dev, seed)


def _complete(ids: Sequence[str], declared: Sequence[str | None]) -> list[str]:
    """Return the declared parts, of which none may be missing."""
    blank = [identity for identity, part in zip(ids, declared, strict=True) if part is None]
    if blank:
        raise InputError(
            f"expected a declared part for every row or for none, found none for {len(blank)} of {len(declared)} rows, "
            f"such as {blank[0]!r}; fill the column of the split in, or leave it out of prepare.table.split"
        )
    return [part for part in declared if part is not None]


def refuse_straddlers(groups: Sequence[str], parts: Sequence[str], kind: str) -> None:
    """Stop where a group stands in several parts; `kind` says in the message what it was expected to stay within.

    Raises
    ------
    InputError
        Naming one such group.
    """
    places: defaultdict[str, set[str]] = defaultdict(set)
    for group, part in zip(groups, parts, strict=True):
        places[group].add(part)
    straddling = sorted(group for group, found in places.items() if len(found) > 1)
    if straddling:
        raise InputError(
            f"expected each group within one {kind}, found {len(straddling)} in several, such as "
            f"{straddling[0]!r} ({', '.join(sorted(places[straddling[0]]))}); mend the groups or the split"
        )
