"""Takes ids, numbers and texts from JSON however they are spelled; for the sources that read other people's JSON."""

from __future__ import annotations

import math
from typing import Any


def identity(value: Any) -> str | None:
    """Return an id as text: a string exactly as it is, a whole number in decimal form; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return None


def number(value: Any) -> float | None:
    """Return a finite number, spelled as one or as a string; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def text(value: Any) -> str | None:
    """Return a text exactly as it is, None where there is none.

    Raises
    ------
    TypeError
        When the value is something else.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__} {str(value)[:40]!r}")
    return value if value.strip() else None


def is_writable(*texts: str | None) -> bool:
    """Tell whether all texts have a UTF-8 form: JSON can spell half of a surrogate pair."""
    try:
        "".join(part or "" for part in texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def id_order(spelled: str) -> tuple[int, int, str]:
    """Return what ids are sorted by: whole numbers by value, then all others as text."""
    plain = spelled.removeprefix("-")
    if plain.isascii() and plain.isdigit() and len(plain) <= 18:
        return 0, int(spelled), spelled
    return 1, 0, spelled
