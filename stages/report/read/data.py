"""Counts of the data and the split, and test items that resemble what was trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import PARTS
from stages.report.read.cards import Card, Cards
from stages.report.read.experiments import read_optional, read_rows
from stages.report.read.tables import Row, read_table
from store.errors import InputError
from store.items.manifest import Manifest
from store.items.records import IMAGE

_LEAKS = ("leaks", "near_duplicates", "listed_per_row")  # told beside their examples


@dataclass(frozen=True)
class Missing:
    """How many items of a part lack a field."""

    field: str
    count: int
    share: float


@dataclass(frozen=True)
class PartRow:
    """One part of the data; "all" sums them up."""

    part: str
    items: int
    labelled: int
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Overlap:
    """How many test items have, in one field, the very content of some train or dev item."""

    field: str
    items: int
    share: float


@dataclass(frozen=True)
class DataSummary:
    """What is known of the data.

    Attributes
    ----------
    parts : tuple of PartRow
        train, dev, test and all.
    overlaps : tuple of Overlap
        One per field.
    rejects : mapping of str to int
        Rejected rows by reason.
    notes : tuple of str
        Choices that `prepare` made without being asked.
    split : tuple of (str, str)
        What `split` wrote about itself, flattened; leaks have a place of their own.
    """

    parts: tuple[PartRow, ...]
    overlaps: tuple[Overlap, ...]
    rejects: Mapping[str, int]
    notes: tuple[str, ...]
    split: tuple[tuple[str, str], ...]

    @property
    def has_pictures(self) -> bool:
        """Whether any item has a picture."""
        return any(one.field == IMAGE and one.count < self.parts[-1].items for one in self.parts[-1].missing)


def summarise_data(manifest: Manifest, parts: NDArray[np.str_], data: Path) -> DataSummary:
    """Count the data from the manifest, and add what `prepare` and `split` say of themselves where they do.

    Parameters
    ----------
    manifest : Manifest
        The items.
    parts : str [N]
        train, dev or test.
    data : Path
        The folder with `prepare/` and `split/`.
    """
    fields = (IMAGE, *manifest.info.fields)
    keys = {field: manifest.keys(field) for field in fields}
    present = {field: there for field, (_, there) in keys.items()}
    labelled = manifest.labelled()
    prepared, split = read_optional(data / "prepare" / "summary.json"), read_optional(data / "split" / "summary.json")
    masks = [*((part, parts == part) for part in PARTS), ("all", np.ones(len(parts), bool))]
    return DataSummary(
        parts=tuple(_part(name, mask, labelled, present) for name, mask in masks),
        overlaps=tuple(_overlap(field, *keys[field], parts) for field in fields),
        rejects=_rejects(prepared, data / "prepare" / "rejects.csv"),
        notes=tuple(str(note) for note in prepared.get("notes", ())),
        split=tuple(flatten({name: value for name, value in split.items() if name not in _LEAKS})),
    )


def _part(
    name: str, mask: NDArray[np.bool_], labelled: NDArray[np.bool_], present: Mapping[str, NDArray[np.bool_]]
) -> PartRow:
    total = int(mask.sum())
    counts = {field: int((mask & ~there).sum()) for field, there in present.items()}
    missing = tuple(Missing(field, count, count / total if total else 0.0) for field, count in counts.items())
    return PartRow(name, total, int((mask & labelled).sum()), missing)


def _overlap(field: str, keys: NDArray[np.uint8], present: NDArray[np.bool_], parts: NDArray[np.str_]) -> Overlap:
    known = {key.tobytes() for key in keys[present & (parts != "test")]}
    asked = keys[present & (parts == "test")]
    items = sum(key.tobytes() in known for key in asked)
    return Overlap(field, items, items / len(asked) if len(asked) else 0.0)


def _rejects(prepared: Mapping[str, Any], rows: Path) -> dict[str, int]:
    counted = prepared.get("rejected")
    if isinstance(counted, dict):
        return {str(reason): int(count) for reason, count in sorted(counted.items())}
    return dict(sorted(Counter(row["reason"] for row in read_rows(rows, "reason")).items()))


def flatten(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Write nested counts as (name, value) pairs, in their order; long lists as their length."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{above}{key}".replace("_", " ")
        if isinstance(value, dict):
            pairs += flatten(value, f"{name}: ")
        elif isinstance(value, list):
            pairs.append((name, ", ".join(map(str, value)) if len(value) <= 8 else f"{len(value)} entries"))
        else:
            pairs.append((name, _plain(value)))
    return pairs


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
