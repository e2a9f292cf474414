"""Writes down every rejected row, safely for the spreadsheet that will open the file; `run` feeds it."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Self

from stages.outputs import safe_cell
from stages.prepare.sources.protocol import Reject


class RejectsFile:
    """A CSV file of `id, where, reason, detail`, open while rows are being checked.

    Parameters
    ----------
    path : Path
        The file to make.
    """

    def __init__(self, path: Path) -> None:
        # backslashreplace: an id may hold half of a surrogate pair, and its row must still be told of
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(Reject._fields)

    def add(self, reject: Reject) -> None:
        """Write one row."""
        self._writer.writerow([safe_cell(cell) for cell in reject])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
