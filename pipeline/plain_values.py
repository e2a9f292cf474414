"""Finds what DVC cannot keep in params.yaml: dates and other values that JSON lacks, and names that are no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

Found = tuple[tuple[Any, ...], str]

_ENTRIES = ("fit", "embed", "reduce", "fuse", "train", "retrieve")


def unplain_values(content: Mapping[Any, Any]) -> Iterator[Found]:
    """Yield where each of them is, and what to write instead.

    DVC stops at such a value whichever stage it is asked for, and where names are not all text it cannot sort them; it
    tells no line.
    """
    for section in _ENTRIES:
        entries = content.get(section)
        for name in entries if isinstance(entries, dict) else ():
            # Others that are no text, such as `true`, are refused by how they are spelt.
            if isinstance(name, int | date) and not isinstance(name, bool):
                yield (section, name), f"expected a name in text, found {_told(name)}"
    yield from _walk(content, ())


def _walk(value: Any, location: tuple[Any, ...]) -> Iterator[Found]:
    if isinstance(value, dict):
        if len(location) > 1 and any(isinstance(key, str) for key in value):
            mixed = (key for key in value if not isinstance(key, str))
            yield from (((*location, key), f"expected names in text alone, found {_told(key)}") for key in mixed)
        for key, inner in value.items():
            yield from _walk(inner, (*location, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _walk(inner, (*location, at))
    elif isinstance(value, date):
        yield location, f"expected text or a number, found {_told(value)}"
    elif not isinstance(value, str | int | float | None):
        found = type(value).__name__
        yield location, f"expected text, numbers, lists or keys with values, found {found}; write it as one of these"


def _told(value: Any) -> str:
    kind = "the date" if isinstance(value, date) else "the number" if isinstance(value, int | float) else "the value"
    return f"{kind} {value}, at which DVC stops; write it in quotes: '{value}'"
