"""The protocol per_class: a share of each class is halved into dev and test, the rest trains; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from stages.errors import InputError
from stages.split.cut import Cut, named
from stages.split.partition import shuffled


def half_share(rows: int, share: float) -> int:
    """Return how many of the rows of a class go to dev, and as many to test: half of the share, all rounded down.

    The share is taken as it is written: 0.29 of 100 are 29, which in binary fractions would be 28.
    """
    return int(Fraction(repr(share)) * rows) // 2


def by_class(groups: Sequence[str], label_of: Sequence[int], classes: Sequence[str], share: float, seed: int) -> Cut:
    """Draw dev and test rows from each class.

    Parameters
    ----------
    groups : sequence of str, length N
        The group of each row, which goes to one part as a whole: the first of its classes draws for it.
    label_of : sequence of int, length N
        The position of each row's class in `classes`, -1 where it has none; a group without a class trains.
    classes : sequence of str
        All classes in their order.
    share : float
        Of each class, for dev and test together.
    seed : int
        Of the order of the groups.

    Returns
    -------
    Cut
        `train_only` counts and names the classes from which nothing was drawn.

    Raises
    ------
    InputError
        When no class is large enough.
    """
    members = _members(groups, label_of)
    part_of: dict[str, str] = {}
    for names in members.values():
        half = half_share(len(names), share)
        order = shuffled(names, seed)
        part_of |= dict.fromkeys(order[:half], "test") | dict.fromkeys(order[half : 2 * half], "dev")
    if not part_of:
        largest = max(map(len, members.values()), default=0)
        raise InputError(
            f"expected a class of which {share:.0%} are two groups or more, found at most {largest} groups in one; "
            "raise split.share, or choose the protocol holdout"
        )
    small = [name for place, name in enumerate(classes) if not half_share(len(members.get(place, ())), share)]
    return Cut([part_of.get(group, "train") for group in groups], counts={"train_only": named(small)})


def _members(groups: Sequence[str], label_of: Sequence[int]) -> dict[int, list[str]]:
    """Return the groups that each class draws from: a group that stands in several belongs to the first of them."""
    first: dict[str, int] = {}
    for group, label in zip(groups, label_of, strict=True):
        if label >= 0:
            first[group] = min(label, first.get(group, label))
    members: defaultdict[int, list[str]] = defaultdict(list)
    for group, label in first.items():
        members[label].append(group)
    return members
