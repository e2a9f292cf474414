"""What params.yaml asked of each entry, as the page may show it: no path of the machine that ran it gets through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Asked = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""For each verb and entry the settings by name; a verb without entries has one of the name ""."""

_ABSOLUTE = re.compile(r"^(/|~|\\\\|[A-Za-z]:[\\/]|\w+://)")


@dataclass(frozen=True)
class Setting:
    """One setting of an entry; `given` tells whether params.yaml names it, or it is a default."""

    name: str
    value: str
    given: bool


def written(value: object) -> str:
    """Write a setting as text; a path of the machine or an address is only called so."""
    if isinstance(value, str):
        return "(a path of the machine that ran it)" if _ABSOLUTE.match(value) else value
    if isinstance(value, list | tuple) and all(isinstance(each, str | int | float) for each in value):
        return ", ".join(written(each) for each in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {written(inner)}" for key, inner in value.items())
    return "none" if value is None else json.dumps(value)


def settings(entry: Mapping[str, Any], defaults: Mapping[str, Any], hidden: tuple[str, ...] = ()) -> list[Setting]:
    """Return the settings of an entry, then the defaults that it leaves alone."""
    return [
        *(Setting(name, written(value), given=True) for name, value in entry.items() if name not in hidden),
        *(Setting(name, written(value), given=False) for name, value in defaults.items() if name not in entry),
    ]


def seeds(asked: Asked) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return every seed with the verb and the entries that it is set for."""
    found: dict[tuple[str, str], list[str]] = {}
    for verb, name, value in _seeds(asked):
        found.setdefault((verb, value), []).append(name)
    return [(verb, value, tuple(name for name in names if name)) for (verb, value), names in found.items()]


def _seeds(asked: Asked) -> Iterator[tuple[str, str, str]]:
    for verb, entries in asked.items():
        for name, entry in entries.items():
            for key in ("seed", "seeds"):
                if entry.get(key) is not None:
                    yield verb, name, written(entry[key])
