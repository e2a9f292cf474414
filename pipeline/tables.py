"""Tables for a terminal of any width: cells fold between words, and a column that is too wide stands below its row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

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
