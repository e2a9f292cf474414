"""Cuts groups of rows into train, dev and test by a seeded hash, or as the data set declares it itself; pure."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from stages.contract import Part
from stages.models.training.groups import TOLERANCE, fill
from store.errors import InputError

QUERY = "query"
GALLERY = "gallery"


class Cut(NamedTuple):
    """A data set that has been cut.

    Attributes
    ----------
    parts : sequence of str, length N
        train, dev or test.
    roles : sequence of (str or None), length N, or None
        query, gallery or None for each row, where the protocol is one of retrieval.
    counts : dict
        What the protocol counted, for the summary.
    notes : tuple of str
        What it does on purpose that a reader of the results should know.
    """

    parts: Sequence[str]
    roles: Sequence[str | None] | None = None
    counts: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    notes: tuple[str, ...] = ()


def named(names: Sequence[str]) -> dict[str, Any]:
    """Count and name classes, for the summary."""
    return {"count": len(names), "classes": list(names)}


_FEWEST_GROUPS = 3


def hold_out(groups: Sequence[str], test: float, dev: float, seed: int) -> list[Part]:
    """Give each row a part, whole groups at a time.

    The groups stand in the order of a hash of their name, so a group that joins the data set moves few others: those
    whose place lies between the old border of a part and the new one. Where a part is far from its share so, as it can
    be where one group has a tenth of the rows or more, groups that are too large for test and dev are passed over.

    Parameters
    ----------
    groups : sequence of str, length N
        The group of each row.
    test : float
        Share of the rows for test.
    dev : float
        Share of the remaining rows for dev.
    seed : int
        Of the order of the groups.

    Returns
    -------
    list of {"train", "dev", "test"}, length N
        Input as near to their shares as whole groups allow, each with at least one group.

    Raises
    ------
    InputError
        When there are fewer than three groups.
    """
    sizes = Counter(groups)
    if len(sizes) < _FEWEST_GROUPS:
        raise InputError(
            f"expected at least {_FEWEST_GROUPS} groups to cut into train, dev and test, found {len(sizes)}; "
            "add data, or mend the column of groups"
        )
    order = shuffled(sizes, seed)
    drawn = _at_borders(order, sizes, test, dev)
    if _off(sizes, drawn, test, dev) > TOLERANCE * len(groups):
        others = _filled(order, sizes, test, dev)
        drawn = min(drawn, others, key=lambda each: _off(sizes, each, test, dev))
    parts: dict[str, Part] = dict.fromkeys(order, "train")
    parts |= dict.fromkeys(drawn[0], "test")
    parts |= dict.fromkeys(drawn[1], "dev")
    return [parts[group] for group in groups]


def cut_dev(groups: Sequence[str], parts: Sequence[str], dev: float, seed: int) -> list[str]:
    """Turn a share of the train rows into dev, whole groups at a time, and leave the other rows alone.

    Raises
    ------
    InputError
        When the train part has fewer than two groups.
    """
    sizes = Counter(group for group, part in zip(groups, parts, strict=True) if part == "train")
    if len(sizes) < _FEWEST_GROUPS - 1:
        raise InputError(
            f"expected at least {_FEWEST_GROUPS - 1} groups of train to cut a dev part from, found {len(sizes)}; "
            "declare a dev part, or add data"
        )
    order = shuffled(sizes, seed)
    drawn = order[: _cut(order, sizes, dev, spare=1)]
    if _off(sizes, ([], drawn), 0, dev) > TOLERANCE * sizes.total():
        others = fill(order, sizes, dev * sizes.total(), spare=1)
        drawn = min(drawn, others, key=lambda each: _off(sizes, ([], each), 0, dev))
    chosen = set(drawn)
    return ["dev" if part == "train" and group in chosen else part for group, part in zip(groups, parts, strict=True)]


def shuffled(groups: Iterable[str], seed: int) -> list[str]:
    """Order groups by a seeded hash of their name, whatever order they came in."""
    return sorted(groups, key=lambda group: hashlib.sha256(f"diptych/split/{seed}/{group}".encode()).digest())


def far_note(groups: Sequence[str], parts: Sequence[str], dev: float, test: float | None = None) -> tuple[str, ...]:
    """Say where parts are far from their shares because groups are too large to be cut better; nothing otherwise.

    Parameters
    ----------
    groups, parts : sequence of str, length N
        The rows.
    dev : float
        The share of the rows outside test that was wanted for dev.
    test : float or None
        The share of all rows that was wanted for test; None where test was not drawn.
    """
    rows, sizes = Counter(parts), Counter(groups)
    rest = len(parts) - rows["test"]
    wanted = {"dev": dev * rest} | ({} if test is None else {"test": test * len(parts)})
    if all(abs(rows[part] - count) <= TOLERANCE * len(parts) for part, count in wanted.items()):
        return ()
    asked = ", ".join(f"{count:.0f} of {part}" for part, count in wanted.items())
    found = ", ".join(f"{rows[part]} of {part}" for part in wanted)
    largest, most = sizes.most_common(1)[0]
    return (
        f"expected about {asked}, found {found}: groups stay whole, and the largest, {largest!r}, has {most} of "
        f"{len(parts)} rows; cut with other shares, or mend the column of groups",
    )


def _at_borders(order: list[str], sizes: Counter[str], test: float, dev: float) -> tuple[list[str], list[str]]:
    """Draw test and dev as what stands before the nearest border in the order."""
    tested = _cut(order, sizes, test, spare=2)
    chosen = _cut(order[tested:], sizes, dev, spare=1)
    return order[:tested], order[tested : tested + chosen]


def _filled(order: list[str], sizes: Counter[str], test: float, dev: float) -> tuple[list[str], list[str]]:
    """Draw test and dev past the groups that are too large for them."""
    tested = fill(order, sizes, test * sizes.total(), spare=2)
    taken = set(tested)
    rest = [group for group in order if group not in taken]
    return tested, fill(rest, sizes, dev * sum(sizes[group] for group in rest), spare=1)


def _off(sizes: Counter[str], drawn: tuple[list[str], list[str]], test: float, dev: float) -> float:
    """Say by how many rows the worse of test and dev misses its share."""
    in_test, in_dev = (sum(sizes[group] for group in part) for part in drawn)
    return max(abs(in_test - test * sizes.total()), abs(in_dev - dev * (sizes.total() - in_test)))


def _cut(order: Sequence[str], sizes: Counter[str], share: float, spare: int) -> int:
    """Say how many of the first groups come nearest to a share of the rows; at least one, and `spare` are left over."""
    running = list(accumulate(sizes[group] for group in order))
    wanted = share * running[-1]
    nearest = min(range(len(order)), key=lambda place: abs(running[place] - wanted)) + 1
    return max(1, min(nearest, len(order) - spare))


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
