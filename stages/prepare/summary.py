"""Counts what `prepare` kept, missed and rejected, and judges whether that may pass; `run` feeds it row by row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from stages.prepare.checks import Checked
from stages.prepare.sources.protocol import Reject, Skip
from store.errors import InputError
from store.files.reading import printable
from store.items.keys import text_key
from store.items.records import IMAGE, Item, ManifestInfo

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


_EXAMPLES = 5


@dataclass(frozen=True)
class PrepareSummary:
    """What `prepare` did, as counts.

    Attributes
    ----------
    source, task : str
        The name of the source; what is to be predicted.
    read, kept : int
        Rows of the source, and those that became items.
    rejected : dict of str to int
        Rows that did not, by reason.
    skipped : dict of str to int
        Rows that the rules of the data set leave out, by reason; they count neither as read nor as rejected.
    missing : dict of str to int
        Kept items without a picture ("image") or without a text field.
    missing_by : tuple of MissingRow
        The same by origin, and for all.
    duplicated : dict of str to int
        Kept items whose content in a field repeats an earlier item's.
    labelled, unlabelled : int
        Kept items with and without what the task needs.
    labels : dict of str to int
        Kept items per class, in the order of the classes, zeros included.
    animated : int
        Pictures with more frames than the first, which alone is used.
    profiles : dict of str to int
        Pictures with a colour profile that is not sRGB, by its name.
    groups : int
        Distinct groups.
    notes : tuple of str
        Choices made without being asked.
    """

    source: str
    task: str
    read: int
    kept: int
    rejected: dict[str, int]
    skipped: dict[str, int]
    missing: dict[str, int]
    missing_by: tuple[MissingRow, ...]
    duplicated: dict[str, int]
    labelled: int
    unlabelled: int
    labels: dict[str, int]
    animated: int
    profiles: dict[str, int]
    groups: int
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Write for people and for later stages, the same text for the same counts."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"


def told(reject: Reject) -> str:
    """Put a rejected row into a line for a terminal, in which its control characters do nothing."""
    named = f" ({reject.id})" if reject.id else ""
    return printable(f"{reject.where}{named}: {reject.reason}: {reject.detail}")


@dataclass
class Tally:
    """The running counts of one run.

    Parameters
    ----------
    info : ManifestInfo
        Names the fields and classes that are counted.
    """

    info: ManifestInfo
    _kept: int = 0
    _labelled: int = 0
    _animated: int = 0
    _rejected: Counter[str] = field(default_factory=Counter)
    _skipped: Counter[str] = field(default_factory=Counter)
    _missing: MissingTally = field(init=False)
    _duplicated: Counter[str] = field(default_factory=Counter)
    _labels: Counter[str] = field(default_factory=Counter)
    _profiles: Counter[str] = field(default_factory=Counter)
    _seen: dict[str, set[bytes]] = field(default_factory=dict)
    _groups: set[str] = field(default_factory=set)
    _first: list[Reject] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._missing = MissingTally(self.info)

    def keep(self, checked: Checked) -> None:
        """Count an item that goes into the manifest."""
        item = checked.item
        self._kept += 1
        self._animated += checked.animated
        self._profiles.update([checked.profile] if checked.profile else ())
        self._labelled += item.labels is not None or item.target is not None
        self._labels.update(item.labels or ())
        self._groups.add(item.group)
        self._missing.keep(item, pictured=checked.image_key is not None)
        self._count_content(IMAGE, checked.image_key)
        for name in self.info.fields:
            text = item.texts.get(name)
            self._count_content(name, None if text is None else text_key(text))

    def reject(self, reject: Reject) -> None:
        """Count a row that does not."""
        self._rejected[reject.reason] += 1
        if len(self._first) < _EXAMPLES:
            self._first.append(reject)

    def skip(self, skip: Skip) -> None:
        """Count a row that the data set's rules leave out."""
        self._skipped[skip.reason] += 1

    def summary(self, notes: tuple[str, ...]) -> PrepareSummary:
        """Return the counts."""
        fields, missing = (IMAGE, *self.info.fields), self._missing.rows()
        return PrepareSummary(
            source=self.info.source,
            task=self.info.task,
            read=self._read,
            kept=self._kept,
            rejected=dict(sorted(self._rejected.items())),
            skipped=dict(sorted(self._skipped.items())),
            missing=missing[-1].missing,
            missing_by=missing,
            duplicated={name: self._duplicated[name] for name in fields},
            labelled=self._labelled,
            unlabelled=self._kept - self._labelled,
            labels={name: self._labels[name] for name in self.info.classes},
            animated=self._animated,
            profiles=dict(sorted(self._profiles.items())),
            groups=len(self._groups),
            notes=(*notes, *self._profile_note()),
        )

    def _profile_note(self) -> Iterator[str]:
        if self._profiles:
            found = ", ".join(f"{name} {count:,}" for name, count in self._profiles.most_common(_EXAMPLES))
            yield (
                f"{self._profiles.total():,} pictures have a colour profile that is not sRGB ({found}); encoders take "
                "their numbers as if they were, unless the entry in `embed` says `profile: srgb`"
            )

    def refuse_too_many_rejects(self, largest_share: float) -> None:
        """Stop the run where more rows were rejected than the parameters allow, or where none was kept.

        Raises
        ------
        InputError
            With the counts by reason, the first rows and the remedy.
        """
        rejected = self._rejected.total()
        if self._kept and rejected <= largest_share * self._read:
            return
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(self._rejected.items()))
        rows = [told(reject) for reject in self._first]
        blank = self.info.source == "table" and self._rejected["missing-image"]
        remedy = ", set prepare.table.absent to blank to keep the rows without" if blank else ""
        allowed = f"at most {largest_share:.1%} rejected rows and one kept"
        raise InputError(
            "\n  ".join(
                [
                    f"expected {allowed}, found {rejected} of {self._read} rejected ({counts}); mend the rows"
                    f"{remedy}, or raise prepare.max_reject_share. The first:",
                    *rows,
                ]
            )
        )

    @property
    def _read(self) -> int:
        return self._kept + self._rejected.total()

    def _count_content(self, name: str, key: bytes | None) -> None:
        if key is None:
            return
        seen = self._seen.setdefault(name, set())
        self._duplicated[name] += key in seen
        seen.add(key)
