"""Cuts groups of rows into train, dev and test by a seeded hash; pure, called by `run`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from stages.contract import Part
from stages.errors import InputError

_FEWEST_GROUPS = 3


def hold_out(groups: Sequence[str], test: float, dev: float, seed: int) -> list[Part]:
    """Give each row a part, whole groups at a time.

    The groups stand in the order of a hash of their name, so a group that joins the data set moves few others: those
    whose place lies between the old border of a part and the new one.

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
        Parts as near to their shares as whole groups allow, each with at least one group.

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
    tested = _cut(order, sizes, test, spare=2)
    chosen = _cut(order[tested:], sizes, dev, spare=1)
    parts: dict[str, Part] = dict.fromkeys(order, "train")
    parts |= dict.fromkeys(order[:tested], "test")
    parts |= dict.fromkeys(order[tested : tested + chosen], "dev")
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
    chosen = set(order[: _cut(order, sizes, dev, spare=1)])
    return ["dev" if part == "train" and group in chosen else part for group, part in zip(groups, parts, strict=True)]


def shuffled(groups: Iterable[str], seed: int) -> list[str]:
    """Order groups by a seeded hash of their name, whatever order they came in."""
    return sorted(groups, key=lambda group: hashlib.sha256(f"diptych/split/{seed}/{group}".encode()).digest())


def _cut(order: Sequence[str], sizes: Counter[str], share: float, spare: int) -> int:
    """Say how many of the first groups come nearest to a share of the rows; at least one, and `spare` are left over."""
    running = list(accumulate(sizes[group] for group in order))
    wanted = share * running[-1]
    nearest = min(range(len(order)), key=lambda place: abs(running[place] - wanted)) + 1
    return max(1, min(nearest, len(order) - spare))
