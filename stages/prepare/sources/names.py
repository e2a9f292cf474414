"""Tells files of a data set from those that systems and offices leave beside them; for sources that look for one."""

from __future__ import annotations

_LEFT_BEHIND = ("._", "~$")
"""How names begin that macOS gives to attributes, and Office to the locks of open files."""


def is_data(name: str, endings: tuple[str, ...]) -> bool:
    """Tell whether a file may be meant by a name that ends in one of the endings, in any case."""
    return name.lower().endswith(endings) and not name.startswith(_LEFT_BEHIND)
