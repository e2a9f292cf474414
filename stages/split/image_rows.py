"""The protocol P-image: rows are cut one by one within each label, whatever their group; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from heapq import nsmallest

from stages.errors import InputError
from stages.split.cut import GALLERY, QUERY, Cut
from stages.split.partition import shuffled

_NOTE = (
    "P-image cuts by row: rows of one group stand on both sides on purpose, and so test rows have near twins in the "
    "gallery; P-group is the strict protocol"
)


def by_rows(
    ids: Sequence[str],
    groups: Sequence[str],
    labels: Sequence[Hashable | None],
    test: float,
    dev: float,
    seed: int,
) -> Cut:
    """Cut rows into train, dev and test within each label; test rows ask, all others may be found.

    Parameters
    ----------
    ids, groups : sequence of str, length N
        The rows; the groups are only counted.
    labels : sequence of hashable or None, length N
        What each row is about; a row without a label trains, as does the only row of a label.
    test, dev : float
        Share of the labelled rows for test, and of the remaining ones for dev.
    seed : int
        Of the order of the rows.

    Returns
    -------
    Cut
        Each label with a row of test has one of train as well.

    Raises
    ------
    InputError
        When no label has rows enough.
    """
    rest = _draw(ids, labels, range(len(ids)), test, seed, "test")
    tested = set(rest)
    remaining = [row for row in range(len(ids)) if row not in tested]
    chosen = set(_draw(ids, labels, remaining, dev, seed, "dev"))
    parts = ["test" if row in tested else "dev" if row in chosen else "train" for row in range(len(ids))]
    return Cut(
        parts,
        [QUERY if part == "test" else GALLERY for part in parts],
        {"straddling_groups": _straddling(groups, parts)},
        (_NOTE,),
    )


def _draw(
    ids: Sequence[str], labels: Sequence[Hashable | None], rows: Sequence[int], share: float, seed: int, part: str
) -> list[int]:
    """Draw a share of the rows, as even over the labels as whole rows allow, and never all rows of a label."""
    row_of = {ids[row]: row for row in rows}
    members: defaultdict[Hashable, list[int]] = defaultdict(list)
    for identity in shuffled(row_of, seed):
        row = row_of[identity]
        if labels[row] is not None:
            members[labels[row]].append(row)
    strata = [stratum for stratum in members.values() if len(stratum) > 1]
    takes = _apportion([len(stratum) for stratum in strata], share)
    drawn = [row for stratum, take in zip(strata, takes, strict=True) for row in stratum[:take]]
    if not drawn:
        raise InputError(
            f"expected labels with two rows and more to draw a {part} part of {share:.0%} from, found {len(strata)} in "
            f"{len(rows)} rows; add data, or raise split.{part}"
        )
    return drawn


def _apportion(sizes: Sequence[int], share: float) -> list[int]:
    """Round the shares of the strata so that their sum is the rounded share of all, by the largest remainders.

    The strata stand in the order of a hash, which decides between equal remainders; at least one row of each is left.
    """
    takes = [int(share * size) for size in sizes]
    missing = round(share * sum(sizes)) - sum(takes)
    wanting = [place for place, size in enumerate(sizes) if takes[place] < size - 1]
    for place in nsmallest(missing, wanting, key=lambda place: takes[place] - share * sizes[place]):
        takes[place] += 1
    return takes


def _straddling(groups: Sequence[str], parts: Sequence[str]) -> int:
    return len(set(zip(groups, (part == "test" for part in parts), strict=True))) - len(set(groups))
