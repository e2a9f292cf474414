"""What a protocol gives: a part for every row, perhaps a role, and what a person should know; `run` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

QUERY = "query"
GALLERY = "gallery"


class Cut(NamedTuple):
    """A data set that has been cut.

    Attributes
    ----------
    parts : sequence of str, length N
        train, dev or test.
    roles : sequence of (str or None), length N, or None
        query, gallery or None for each row, where the protocol is one of retrieval.
    counts : dict
        What the protocol counted, for the summary.
    notes : tuple of str
        What it does on purpose that a reader of the results should know.
    """

    parts: Sequence[str]
    roles: Sequence[str | None] | None = None
    counts: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    notes: tuple[str, ...] = ()


def named(names: Sequence[str]) -> dict[str, Any]:
    """Count and name classes, for the summary."""
    return {"count": len(names), "classes": list(names)}
