"""Counts what items lack by where they come from, the first table of a data set with gaps; `summary` keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from stages.items import Item, ManifestInfo
from stages.records import IMAGE

SOURCE = "source"
"""The column of the meta that tells origins apart, such as google and flickr."""
ALL, OTHERS, UNNAMED = "all", "others", "(none)"
_MOST = 20


@dataclass(frozen=True)
class MissingRow:
    """How much the items of one origin lack; docs/systems/sources.md#what-is-missing.

    Attributes
    ----------
    source : str
        The value of the column `source` of the meta, "(none)" where it is blank, "all" for the row of all items.
    rows : int
        Kept items.
    missing : dict of str to int
        Those without a picture ("image") or without a text field.
    share : dict of str to float
        The same as shares of the rows.
    """

    source: str
    rows: int
    missing: dict[str, int]
    share: dict[str, float]


class MissingTally:
    """The running counts.

    Parameters
    ----------
    info : ManifestInfo
        Names the fields, and whether origins are told.
    """

    def __init__(self, info: ManifestInfo) -> None:
        self._info = info
        self._rows: Counter[str] = Counter()
        self._missing: dict[str, Counter[str]] = {}

    def keep(self, item: Item, *, pictured: bool) -> None:
        """Count an item, with or without a picture."""
        origin = self._origin(item.meta)
        lacking = [] if pictured else [IMAGE]
        lacking += [name for name in self._info.fields if item.texts.get(name) is None]
        self._rows[origin] += 1
        self._missing.setdefault(origin, Counter()).update(lacking)

    def rows(self) -> tuple[MissingRow, ...]:
        """Return a row for each origin in the order in which they were met, the rest as "others", and at last all."""
        origins = sorted(self._rows, key=lambda name: name == OTHERS) if SOURCE in self._info.meta else []
        every: Counter[str] = sum(self._missing.values(), Counter())
        return (
            *(self._row(name, self._rows[name], self._missing[name]) for name in origins),
            self._row(ALL, self._rows.total(), every),
        )

    def _origin(self, meta: Mapping[str, str | None]) -> str:
        origin = meta.get(SOURCE) or UNNAMED
        # Should the column be one of ids, there would be as many rows as items.
        return origin if origin in self._rows or len(self._rows) < _MOST else OTHERS

    def _row(self, origin: str, rows: int, counts: Counter[str]) -> MissingRow:
        missing = {name: counts[name] for name in (IMAGE, *self._info.fields)}
        share = {name: round(count / rows, 6) if rows else 0.0 for name, count in missing.items()}
        return MissingRow(origin, rows, missing, share)
