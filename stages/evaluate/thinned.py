"""Joined features that lose some of their inputs when they are read; `robustness` has them scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stages.fusions.layout import Layout
from stages.heads.model import Array, Features


class ThinnedTable:
    """A table of joined features whose rows lack some inputs, exactly as those that never had them.

    Parameters
    ----------
    table : Features
        Joined features [n, columns].
    layout : Layout
    missing : ndarray, [columns]
        A row without any input.
    removed : sequence of bool
        Which inputs are taken away.
    """

    def __init__(self, table: Features, layout: Layout, missing: Array, removed: Sequence[bool]) -> None:
        self.table, self.missing = table, missing
        self.shape = table.shape
        self._columns = _columns(layout, removed)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Any) -> Array:
        x = self.table[rows]
        for columns in self._columns:
            x[:, columns] = self.missing[columns]
        return x


def _columns(layout: Layout, removed: Sequence[bool]) -> list[slice]:
    """Return where the removed inputs and their presence stand."""
    found, start = [], 0
    for number, (block, gone) in enumerate(zip(layout, removed, strict=True)):
        stop = start + block.columns
        presence = number + sum(each.columns for each in layout)
        found += [slice(start, stop), slice(presence, presence + 1)] if gone else []
        start = stop
    return found
