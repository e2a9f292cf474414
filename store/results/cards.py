"""The card that a verb leaves in `metrics/` for each of its entries, tracked by git: its form, writer and reader.

A metric stands among the metrics and nothing else does: `dvc metrics show` and the report take what is there by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from store.errors import InputError
from store.files.outputs import read_small_json, write_json

_STD, _LOW, _HIGH = "_std", "_low", "_high"


@dataclass(frozen=True)
class EntryCard:
    """What an entry is worth, how much there was of what, and what it is made of.

    Attributes
    ----------
    metrics : mapping of str to float
        Each metric, and beside it where they are known `<metric>_std`, its sample deviation over the seeds, and
        `<metric>_low` and `<metric>_high`, the ends of its 95 % interval. What is no metric of the entry as a whole
        stands deeper, in a list or a mapping.
    counts : mapping of str to int
        Rows, seeds, epochs and the like.
    made_of : mapping of str to JSON values
        Inputs, settings, and the digests that name inputs and outputs.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    made_of: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the card of one entry.

        Raises
        ------
        InputError
            When there is none, or it has another form.
        """
        remedy = "run `dvc repro`, which writes it"
        try:
            content = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise InputError(f"expected {path}, found no file; {remedy}") from None
        except ValueError as error:
            raise InputError(f"expected JSON in {path}, found none ({error}); {remedy} again") from error
        names = [each.name for each in fields(cls)]
        if not _is_card(content, names):
            found = sorted(content) if isinstance(content, dict) else type(content).__name__
            raise InputError(f"expected a card of {', '.join(names)} in {path}, found {found}; {remedy} again")
        return cls(**content)

    @classmethod
    def read_sound(cls, path: Path) -> Self:
        """Read a card that need not be there: empty where there is none, or it is no good."""
        content = read_small_json(path)
        return cls(**content) if _is_card(content, [each.name for each in fields(cls)]) else cls()

    def __or__(self, other: EntryCard) -> Self:
        """Join what two cards say of one entry."""
        return type(self)(*({**getattr(self, each.name), **getattr(other, each.name)} for each in fields(self)))

    def write(self, path: Path) -> None:
        """Write the card whole or not at all."""
        write_json(path, {each.name: getattr(self, each.name) for each in fields(self)})

    @property
    def means(self) -> dict[str, float]:
        """The metrics themselves: of several seeds their means."""
        beside = {f"{name}{end}" for name in self.metrics for end in (_STD, _LOW, _HIGH)}
        return {name: float(each) for name, each in self.metrics.items() if name not in beside and _is_number(each)}

    @property
    def deviations(self) -> dict[str, float]:
        """The sample deviation of each metric that has one."""
        return {name: float(self.metrics[name + _STD]) for name in self.means if name + _STD in self.metrics}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The ends of the 95 % interval of each metric that has both."""
        both = [name for name in self.means if {name + _LOW, name + _HIGH} <= self.metrics.keys()]
        return {name: (float(self.metrics[name + _LOW]), float(self.metrics[name + _HIGH])) for name in both}

    @property
    def numbers(self) -> dict[str, int | float]:
        """All numbers of the card by name; what stands deeper has the names above it before its own."""
        return dict(sorted((name, each) for part in fields(self) for name, each in _numbers(getattr(self, part.name))))


def _is_card(content: Any, names: list[str]) -> bool:
    parts = content.values() if isinstance(content, dict) and sorted(content) == sorted(names) else [None]
    return all(isinstance(each, dict) for each in parts)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _numbers(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, int | float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{above}{name}_")
        elif _is_number(value):
            yield above + name, value
