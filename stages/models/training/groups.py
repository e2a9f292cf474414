"""Draws whole groups until their rows come nearest to a share; pure, used where `split` and `fit` cut by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TOLERANCE = 0.05
"""A part that is off its share by more than this share of all rows is far from it.

A cut at the nearest border in a drawn order is off by half a group at most: where no group has more than a tenth of the
rows it is never far, and stays as it was drawn.
"""
_STARTS = 32


def fill(order: Sequence[str], sizes: Mapping[str, int], wanted: float, spare: int) -> list[str]:
    """Draw groups in their order, leaving out those that lead away from the number of rows that is wanted.

    From several starting points in turn, because a large group takes the room of those behind it; the nearest draw
    counts, the first of equal ones.

    Parameters
    ----------
    order : sequence of str, length G
        The groups in a drawn order; more than `spare`.
    sizes : mapping of str to int
        Rows of each group.
    wanted : float
        How many rows.
    spare : int
        So many groups are left at least.

    Returns
    -------
    list of str
        At least one group.
    """
    best: list[str] = []
    off = float("inf")
    for start in range(min(len(order), _STARTS)):
        drawn = _walk([*order[start:], *order[:start]], sizes, wanted, len(order) - spare)
        if (here := abs(sum(sizes[group] for group in drawn) - wanted)) < off:
            best, off = drawn, here
        if off <= 0.5:  # no number of rows is nearer
            break
    return best


def _walk(order: Sequence[str], sizes: Mapping[str, int], wanted: float, most: int) -> list[str]:
    drawn: list[str] = []
    rows = 0
    for group in order:
        if rows >= wanted or len(drawn) == most:
            break
        if abs(rows + sizes[group] - wanted) < wanted - rows:
            drawn.append(group)
            rows += sizes[group]
    return drawn or [min(order, key=lambda group: sizes[group])]
