"""JSON as the store needs it: one text for one value when writing, no surprises when reading what others wrote."""

from __future__ import annotations

import json
from typing import Any

_SCALARS = (str, int, float, bool, type(None))
_MAX_DEPTH = 100  # far below where any version of Python gives up


def canonical_json(value: object) -> bytes:
    """Write plain data as the one JSON text that stands for it: sorted keys, no white space, UTF-8.

    Raises
    ------
    TypeError
        When the data holds anything but dict (with str keys), list, str, int, float, bool and None.
    ValueError
        When a float is not finite, a string has no UTF-8 form, or the data is nested too deeply.
    """
    _require_plain(value, "record")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _require_plain(value: object, where: str, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(
            f"expected at most {_MAX_DEPTH} levels in {where[:200]!r}, found it nested too deeply; flatten it"
        )
    # Exact types: numpy.float64 is a float and an IntEnum an int, but neither promises the same text for ever.
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"expected string keys in {where}, found {key!r}; name the field with a str")
            _require_plain(item, f"{where}.{key}", depth + 1)
    elif type(value) is list:
        for position, item in enumerate(value):
            _require_plain(item, f"{where}[{position}]", depth + 1)
    elif type(value) not in _SCALARS:
        raise TypeError(
            f"expected dict, list, str, int, float, bool or None at {where}, found {type(value).__name__}; "
            "convert it to one of these"
        )


def parse_document(text: bytes) -> dict[str, Any]:
    """Read a JSON object that others may have written.

    Raises
    ------
    ValueError
        When it is not JSON, not an object, too deeply nested or holds NaN.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("expected a flat JSON document, found one nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object, found {type(document).__name__}")  # noqa: TRY004 (a bad file)
    return document


def _refuse_constant(name: str) -> object:
    raise ValueError(f"expected finite numbers in JSON, found {name}")
