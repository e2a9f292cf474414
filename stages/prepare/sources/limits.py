"""Cuts the rows of a source at `prepare.limit`; for the sources that skip rows by a rule of their data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stages.items import Item
from stages.prepare.sources.protocol import Reject, Skip


def first_rows(rows: Iterable[Item | Reject | Skip], limit: int | None) -> Iterator[Item | Reject | Skip]:
    """Yield rows until `limit` of them were items or rejects; None yields all."""
    left = limit
    for row in rows:
        yield row
        if left is not None and not isinstance(row, Skip):
            left -= 1
            if not left:
                return
