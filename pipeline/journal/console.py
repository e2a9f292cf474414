"""What a person sees: a live bar in a terminal, a line every few seconds in a log, tables of any width."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipeline.journal.times import Spent
from stages.contract import Tracker

_LINE_SECONDS = 5.0
# Where nobody sets a width (a pipe, a log), tables need not be folded to that of an old terminal.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
out = Console(highlight=False, soft_wrap=True, width=_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def spell_out() -> None:
    """Have characters that the encoding of a stream lacks written as escapes; they would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(content: Any) -> None:
    """Print JSON for programs: where the encoding is not UTF-8, with the escapes of JSON."""
    plain = "utf" not in (sys.stdout.encoding or "utf-8").lower()
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=plain) + "\n")


def _rate(rate: float) -> str:
    """Write a rate with the digits that mean something: 0.12, 3.4, 560."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


class _Rate(ProgressColumn):
    """Items per second since the bar was opened."""

    def render(self, task: Task) -> Text:
        """Return the rate as text."""
        return Text(f"{_rate(task.completed / max(task.elapsed or 0.0, 1e-9))}/s")


class _Bar:
    """A tracker on a rich bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, n: int = 1, note: str = "") -> None:
        """Move the bar by `n` items."""
        if note:
            self._progress.update(self._task, note=note)
        self._progress.advance(self._task, n)


class _Lines:
    """A tracker for logs: says how far it is, how fast, and how long it will take."""

    def __init__(self, description: str, total: int | None) -> None:
        self._description, self._total = description, total
        self._start = self._last = time.monotonic()
        self._done, self._note = 0, ""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more items and print a line when the last one is some seconds old."""
        self._done += n
        self._note = note or self._note
        now = time.monotonic()
        if now - self._last >= _LINE_SECONDS:
            self._last = now
            rate = self._done / (now - self._start)
            left = f", {(self._total - self._done) / rate:.0f} s left" if self._total and rate else ""
            told = f", {self._note}" if self._note else ""
            said = f"{self._description}: {self._done}/{self._total or '?'}, {_rate(rate)}/s{left}{told}"
            err.print(said, markup=False)


class ConsoleProgress:
    """The `Progress` of the command line.

    Attributes
    ----------
    spent : Spent
        Is told how long each bar was open; bars within another's time are part of it.
    """

    def __init__(self) -> None:
        self.spent = Spent()
        self._open = 0

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Tracker]:
        """Open a bar, or a series of lines when standard error is not a terminal."""
        start = time.perf_counter()
        self._open += 1
        try:
            with _live(description, total) if sys.stderr.isatty() else _lines(description, total) as tracker:
                yield tracker
        finally:
            self._open -= 1
            if not self._open:
                self.spent.add(description, time.perf_counter() - start)


@contextmanager
def _live(description: str, total: int | None) -> Iterator[Tracker]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err) as progress:
        yield _Bar(progress, progress.add_task(description, total=total, note=""))


@contextmanager
def _lines(description: str, total: int | None) -> Iterator[Tracker]:
    yield _Lines(description, total)


_GAP = "  "
_BELOW = "   "
"""How far a cell that stands below its row is moved in."""


class PlainTable:
    """Columns of words, then columns of numbers, which are never folded; no cell is ever cut.

    As wide as its content where there is room for that. Where there is less, cells fold between words. Where not even
    the longest word of each column has room, the widest column but the first goes: its cells stand below their rows.

    Parameters
    ----------
    *words : str
    numbers : sequence of str
        The heads of the columns.
    """

    def __init__(self, *words: str, numbers: Sequence[str] = ()) -> None:
        self._heads = (*words, *numbers)
        self._words = len(words)
        self._rows: list[tuple[str, ...]] = []
        self._ruled: set[int] = set()

    def add_row(self, *cells: str) -> None:
        """Add a row: a cell for each column, as it is to be read (there is no markup)."""
        if len(cells) != len(self._heads):
            raise ValueError(f"expected {len(self._heads)} cells, as {self._heads}; found {cells}")
        self._rows.append(cells)

    def add_section(self) -> None:
        """Leave a line empty behind the last row."""
        self._ruled.add(len(self._rows))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        for line in self._lines(console, options.max_width - 1):
            yield Text(line.rstrip(), no_wrap=True, overflow="ignore")

    def _lines(self, console: Console, room: int) -> Iterator[str]:
        kept = self._kept(room)
        widths = self._widths(kept, room)
        yield ""
        yield from self._row(console, self._heads, kept, widths)
        yield " " + "─" * (sum(widths) + len(_GAP) * (len(kept) - 1))
        for at, row in enumerate(self._rows):
            if at in self._ruled:
                yield ""
            yield from self._row(console, row, kept, widths)
            yield from self._below(console, row, kept, room)
        yield ""

    def _kept(self, room: int) -> list[int]:
        """Return the columns that stay beside each other."""
        kept = list(range(len(self._heads)))
        least = self._least(room)
        while len(kept) > 1 and _width(least[at] for at in kept) > room:
            kept.remove(max(kept[1:], key=lambda at: (least[at], at)))
        return kept

    def _least(self, room: int) -> list[int]:
        """Return the width below which each column would break a word, a number, or a first cell that is short."""
        least = [max(_longest(row[at]) for row in (self._heads, *self._rows)) for at in range(len(self._heads))]
        for at in range(self._words, len(self._heads)):
            least[at] = max([_longest(self._heads[at]), *(cell_len(row[at]) for row in self._rows)])
        least[0] = max(least[0], min(self._full()[0], room // 3))
        return least

    def _full(self) -> list[int]:
        """Return the width of each column on one line."""
        return [max(cell_len(row[at]) for row in (self._heads, *self._rows)) for at in range(len(self._heads))]

    def _widths(self, kept: list[int], room: int) -> list[int]:
        """Share the room: every column gets what it needs, or the same as the others that need more."""
        least, full = self._least(room), self._full()
        shares = ([max(least[at], min(full[at], cap)) for at in kept] for cap in range(max(full), 0, -1))
        return next((widths for widths in shares if _width(widths) <= room), [least[at] for at in kept])

    def _row(self, console: Console, row: Sequence[str], kept: list[int], widths: list[int]) -> Iterator[str]:
        lines = [folded(console, row[at], width) for at, width in zip(kept, widths, strict=True)]
        for cells in zip_longest(*lines, fillvalue=""):
            blanks = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
            padded = (
                cell + blank if at < self._words else blank + cell
                for at, cell, blank in zip(kept, cells, blanks, strict=True)
            )
            yield " " + _GAP.join(padded)

    def _below(self, console: Console, row: Sequence[str], kept: list[int], room: int) -> Iterator[str]:
        for at, head in enumerate(self._heads):
            if at not in kept and row[at]:
                first, *rest = folded(console, f"{head}: {row[at]}", room - len(_BELOW) - 2)
                yield _BELOW + first
                yield from (f"{_BELOW}  {line}" for line in rest)


def _width(columns: Iterator[int] | Sequence[int]) -> int:
    widths = list(columns)
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _longest(text: str) -> int:
    return max((cell_len(word) for word in text.split()), default=0)


def folded(console: Console, text: str, width: int) -> list[str]:
    """Return the lines of a text, broken between words; a word that is wider stays whole."""
    return [line.plain.rstrip() for line in Text(text).wrap(console, max(1, width, _longest(text)))] or [""]
