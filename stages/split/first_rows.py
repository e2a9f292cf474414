"""The protocol first_n: the first rows of the manifest train, the others test; pure, called by `protocols`."""

from __future__ import annotations

from collections.abc import Sequence

from stages.errors import InputError
from stages.split.cut import Cut
from stages.split.partition import cut_dev


def by_order(groups: Sequence[str], first: int, dev: float, seed: int) -> Cut:
    """Take the first rows for train, with all further rows of their groups, and the others for test.

    Parameters
    ----------
    groups : sequence of str, length N
        The group of each row, in the order of the manifest.
    first : int
        So many rows train.
    dev : float
        Share of the train rows to cut for dev, by group.
    seed : int
        Of the order of the groups in that cut.

    Returns
    -------
    Cut
        `moved_to_train` counts the later rows that follow their group, and those groups.

    Raises
    ------
    InputError
        When no row is left for test, or the train rows have fewer than two groups.
    """
    early = set(groups[:first])
    parts = ["train" if group in early else "test" for group in groups]
    if "test" not in parts:
        raise InputError(
            f"expected rows after the first {first} whose groups are not among them, found {len(groups)} rows and "
            "none such; lower split.first"
        )
    moved = [group for group in groups[first:] if group in early]
    counts = {"moved_to_train": {"rows": len(moved), "groups": len(set(moved))}}
    return Cut(cut_dev(groups, parts, dev, seed), counts=counts)
