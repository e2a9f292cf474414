"""Reads columns of a Parquet file: whole, or only the row groups in which the asked rows lie; `items` asks it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Rows = NDArray[np.integer]
_GROUPS_AT_ONCE = 64  # of a scattered choice no more than these are in memory beside what was chosen


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

    def chosen(self, name: str, rows: Rows) -> pa.ChunkedArray:
        """Read some rows of a column, in any order, each as often as it is asked for.

        Parameters
        ----------
        rows : ndarray of int, [n]

        Raises
        ------
        IndexError
            When a row is not in the file.
        """
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._ends[-1]:
            raise IndexError(f"expected rows of {self._path} from 0 to {self._ends[-1] - 1}, found {rows}")
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        groups = np.searchsorted(self._ends, ascending, side="right")
        needed, first = np.unique(groups, return_index=True)
        first = np.append(first, len(rows))
        parts = [pa.chunked_array([], self._file.schema_arrow.field(name).type)]
        for at in range(0, len(needed), _GROUPS_AT_ONCE):
            some = needed[at : at + _GROUPS_AT_ONCE]
            part = slice(first[at], first[at + len(some)])
            parts.append(self._from_groups(name, some, ascending[part], groups[part]))
        found = pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        return found.take(pa.array(back))

    def _from_groups(self, name: str, needed: Rows, rows: Rows, groups: Rows) -> pa.ChunkedArray:
        """Take `rows` [n] of a column, each in the row group that `groups` [n] says, all of which are `needed`."""
        column = self._file.read_row_groups(needed.tolist(), columns=[name]).column(name)
        starts = np.append(0, self._ends)
        sizes = np.diff(starts)[needed]
        shift = starts[needed] - (np.cumsum(sizes) - sizes)
        return column.take(pa.array(rows - shift[np.searchsorted(needed, groups)]))

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """The row behind the last one of each row group."""
        footer = self._file.metadata
        return np.cumsum([footer.row_group(group).num_rows for group in range(footer.num_row_groups)], dtype=np.int64)
