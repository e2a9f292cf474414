"""The protocols of retrieval: P-image cuts rows within a label, P-group holds out values of a column; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from heapq import nsmallest
from math import comb, gcd

from stages.split.partition import GALLERY, QUERY, Cut, cut_dev, refuse_straddlers, shuffled
from store.errors import InputError

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


_ASKS = "0"


def held_out_values(values: Sequence[str], held_out: int, seed: int) -> list[str]:
    """Choose the values that are held out.

    Parameters
    ----------
    values : sequence of str
        The distinct values, in any order.
    held_out : int
        How many are held out, fewer than there are.
    seed : int
        Counts through the choices: 0 holds out the last values (numbers are ordered as numbers), and no choice comes
        again before all have been made.

    Returns
    -------
    list of str, length held_out
        In their order.
    """
    order = sorted(values, key=_as_number, reverse=True)
    choices = comb(len(order), held_out)
    return _choice(order, held_out, seed * _stride(choices) % choices)[::-1]


def by_held_out(groups: Sequence[str], held: Sequence[bool], dev: float, seed: int) -> list[str]:
    """Give the held-out rows to test and cut dev from the others by group.

    Parameters
    ----------
    groups : sequence of str, length N
        The groups, none of which may stand on both sides.
    held : sequence of bool, length N
        Which rows are held out.
    dev : float
        Share of the other rows to cut.
    seed : int
        Of the order of the groups in that cut.

    Returns
    -------
    list of str, length N
        train, dev or test.

    Raises
    ------
    InputError
        When a group stands on both sides, or the other rows have fewer than two groups.
    """
    parts = ["test" if out else "train" for out in held]
    refuse_straddlers(groups, parts, "held-out value or the others")
    return cut_dev(groups, parts, dev, seed)


def roles_within(
    labels: Sequence[Hashable | None], held: Sequence[bool], within: Sequence[str | None], *, strict_text: bool
) -> tuple[list[str | None], dict[str, int]]:
    """Let the held-out rows of `within` "0" ask for the other held-out rows.

    Parameters
    ----------
    labels : sequence of hashable or None, length N
        What each row is about.
    held : sequence of bool, length N
        Which rows are held out.
    within : sequence of (str or None), length N
        The column that tells queries from gallery.
    strict_text : bool
        Held-out rows whose label some row outside bears get no role.

    Returns
    -------
    roles : list of (str or None), length N
        query, gallery or None.
    counts : dict of str to int
        `spanning_labels` and `spanning_rows`: held-out rows whose label some row outside bears.

    Raises
    ------
    InputError
        When no row would ask, or none could be found.
    """
    known = {label for label, out in zip(labels, held, strict=True) if label is not None and not out}
    spanning = [out and label in known for label, out in zip(labels, held, strict=True)]
    cast = [out and not (strict_text and spans) for out, spans in zip(held, spanning, strict=True)]
    roles = [
        None if not has_role else QUERY if number == _ASKS else GALLERY
        for has_role, number in zip(cast, within, strict=True)
    ]
    for role in (QUERY, GALLERY):
        if role not in roles:
            raise InputError(
                f"expected held-out rows for the {role}, found none among {sum(cast)}; those with {_ASKS!r} in the "
                "column split.within ask, and the others may be found"
            )
    labels_spanning = {label for label, spans in zip(labels, spanning, strict=True) if spans}
    return roles, {"spanning_labels": len(labels_spanning), "spanning_rows": sum(spanning)}


def _as_number(value: str) -> tuple[bool, int, str]:
    return (False, int(value), value) if value.isascii() and value.isdigit() else (True, 0, value)


def _stride(choices: int) -> int:
    """Return a step that visits all choices, and takes neighbouring seeds far apart."""
    return next(step for step in range(max(1, choices // 2), 0, -1) if gcd(step, choices) == 1)


def _choice(order: Sequence[str], size: int, number: int) -> list[str]:
    """Return one of the choices of `size` out of `order`, counted as `itertools.combinations` yields them."""
    chosen: list[str] = []
    for place, value in enumerate(order):
        with_it = comb(len(order) - place - 1, size - len(chosen) - 1) if len(chosen) < size else 0
        if number < with_it:
            chosen.append(value)
        else:
            number -= with_it
    return chosen
