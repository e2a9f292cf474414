"""Test items that resemble what was trained on, as `split` found them: its counts and a few pairs with pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.records import IMAGE
from stages.report.cards import Card, Cards
from stages.report.readings import read_optional
from stages.report.summaries import Overlap
from stages.report.tables import Row, read_table

PAIRS = 3
_NOTABLE = 0.05  # of the test items
_COUNTS = ("rows", "within", "compared")


@dataclass(frozen=True)
class Twins:
    """A test item and the item of train or dev that resembles it."""

    test: Card
    other: Card
    words: str


@dataclass(frozen=True)
class Leaks:
    """What the data section tells of leaks.

    Attributes
    ----------
    near : mapping of str to int
        Counts of near-duplicates: test `rows` that have one `within` so many bits, of the pictures `compared`; some
        were too `flat` to be compared or are `without_hash`. Empty where nobody looked.
    twins : tuple of Twins
        Examples, pictures first and the nearest of them first.
    """

    near: Mapping[str, int]
    twins: tuple[Twins, ...]


def read_leaks(cards: Cards, folder: Path) -> Leaks | None:
    """Read what `split` left; None where it found nothing and looked for nothing.

    Parameters
    ----------
    cards : Cards
        Makes what the page shows of items.
    folder : Path
        `data/split`.

    Raises
    ------
    InputError
        When a file is malformed, or about items of another manifest.
    """
    near = _near(folder / "summary.json")
    path = folder / "leaks.csv"
    rows = read_table(path, ("test", "other", "field", "kind"), (), blank=("distance",), verb="split")
    chosen = _chosen(rows)
    if not near and not chosen:
        return None
    ids = [row.texts[name] for row in chosen for name in ("test", "other")]
    made = cards.of(cards.rows(ids, str(path))) if ids else []
    twins = [Twins(made[2 * at], made[2 * at + 1], _words(row)) for at, row in enumerate(chosen)]
    return Leaks(near, tuple(twins))


def leak_warning(leaks: Leaks | None, overlaps: Sequence[Overlap]) -> str:
    """Say in one sentence which share of test resembles what was trained on; "" where it is below 5 %.

    Parameters
    ----------
    leaks : Leaks or None
        The counts of near-duplicates.
    overlaps : sequence of Overlap
        The shares of test items whose very content train or dev has, by field.
    """
    found = []
    near = leaks.near if leaks is not None else {}
    share = near["rows"] / near["compared"] if near.get("compared") else 0.0
    if share >= _NOTABLE:
        found.append(f"{share:.0%} of the test pictures look nearly like one of train or dev")
    for one in overlaps:
        if one.share >= _NOTABLE:
            what = "pictures" if one.field == IMAGE else f"texts ({one.field})"
            found.append(f"{one.share:.0%} of the test {what} stand in train or dev as they are")
    if not found:
        return ""
    return f"Beware: {' and '.join(found)}, so that figures may flatter; see Data."


def _near(path: Path) -> dict[str, int]:
    found: Any = read_optional(path).get("near_duplicates")
    if found is None:
        return {}
    if not isinstance(found, dict) or any(not isinstance(found.get(name), int) for name in _COUNTS):
        raise InputError(f"expected counts of near-duplicates in {path}, found {found!r}; run `diptych split` again")
    return {name: found[name] for name in (*_COUNTS, "flat", "without_hash") if isinstance(found.get(name), int)}


def _chosen(rows: Sequence[Row]) -> list[Row]:
    """Choose pairs to show, one for each test item: near pictures, then equal ones, then texts."""
    order = sorted(
        range(len(rows)),
        key=lambda at: (rows[at].texts["field"] != IMAGE, rows[at].texts["kind"] != "near", _distance(rows[at]), at),
    )
    first = {rows[at].texts["test"]: rows[at] for at in reversed(order)}
    kept = [rows[at] for at in order if first[rows[at].texts["test"]] is rows[at]]
    return kept[:PAIRS]


def _distance(row: Row) -> float:
    found = row.numbers["distance"]
    return 0.0 if math.isnan(found) else found


def _words(row: Row) -> str:
    if row.texts["kind"] == "equal":
        return f"the same {row.texts['field']}"
    bits = int(_distance(row))
    return f"{row.texts['field']}s {bits} bit{'' if bits == 1 else 's'} apart"
