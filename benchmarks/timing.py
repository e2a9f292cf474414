"""What the benchmarks have in common: the row of a result, and a table of values set beside that of a peer."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def against(peer: str, values: dict[str, float], unit: str, note: str) -> list[Row]:
    """Return a row for each value but the peer's own; `ratio` is value / peer's value."""
    return [
        {
            "name": name,
            "subject": name,
            "peer": peer,
            "ratio": value / values[peer],
            "subject_value": value,
            "peer_value": values[peer],
            "unit": unit,
            "note": note,
        }
        for name, value in values.items()
        if name != peer
    ]
