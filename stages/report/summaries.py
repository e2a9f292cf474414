"""Counts of the data and the split for the foot of the page: from the manifest and what the two verbs wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import PARTS
from stages.items import Manifest
from stages.records import IMAGE
from stages.report.readings import read_optional, read_rows

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
