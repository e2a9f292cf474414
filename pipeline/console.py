"""What a person sees while a stage runs: a live bar in a terminal, a line every few seconds in a log."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
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

from pipeline.spent import Spent
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
