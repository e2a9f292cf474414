"""Reads columns of a Parquet file: whole, or only the row groups in which the asked rows lie; `manifest` asks it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Rows = NDArray[np.integer]


class Columns:
    """The columns of one file, of which row `i` is item `i`.

    What a choice of rows costs does not grow with the file: its footer is read once, by the first choice, and the file
    stays open from then on.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def whole(self, name: str) -> pa.ChunkedArray:
        """Read a column."""
        # Not pq.read_table: it would take the dot in the name for a path into a nested column.
        with pq.ParquetFile(self._path) as file:
            return file.read(columns=[name]).column(name)

    def chosen(self, name: str, rows: Rows) -> list[Any]:
        """Read some rows of a column, in any order, each as often as it is asked for.

        One row group at a time is in memory beside what was chosen. Nothing is joined in Arrow, whose strings end at
        2 GB.

        Parameters
        ----------
        rows : ndarray of int, [n]

        Raises
        ------
        IndexError
            When a row is not in the file.
        """
        total = self._file.metadata.num_rows
        if len(rows) and not 0 <= rows.min() <= rows.max() < total:
            raise IndexError(f"expected rows of {self._path} from 0 to {total - 1}, found {rows}")
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        found: list[Any] = []
        edges = np.searchsorted(ascending, self._starts)
        for group in np.flatnonzero(np.diff(edges)).tolist():
            some = ascending[edges[group] : edges[group + 1]] - self._starts[group]
            found += self._file.read_row_group(group, columns=[name]).column(name).take(pa.array(some)).to_pylist()
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        return [found[at] for at in back.tolist()]

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first row of each row group, and the row behind the last group."""
        footer = self._file.metadata
        sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        return np.cumsum([0, *sizes], dtype=np.int64)
