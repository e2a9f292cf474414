"""The genres of Goodreads: the rule that gives a book one, and those of all books in nine bytes each."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from stages.prepare.sources.mistakes import Mistakes, did_you_mean
from stages.prepare.sources.text_files import text_lines

GENRES = (
    "history, historical fiction, biography",
    "fiction",
    "fantasy, paranormal",
    "mystery, thriller, crime",
    "poetry",
    "romance",
    "non-fiction",
    "children",
    "young-adult",
    "comics, graphic",
)
"""In the order that decides between genres with equally many votes."""
FICTION = frozenset({"fiction", "romance", "fantasy, paranormal", "young-adult"})
"""The genres that count as fiction; crime, comics and poetry do not."""
_LONGEST_LINE = 64 * 1024
_NONE = 255
_LARGEST_ID = 2**63 - 1


def genre_of(votes: Mapping[str, int]) -> str | None:
    """Return the genre with the most votes, the first of `GENRES` in a tie; None without any vote.

    Parameters
    ----------
    votes : mapping of str to int
        Votes by genre, all of them among `GENRES`.
    """
    best = max(GENRES, key=lambda genre: votes.get(genre, 0))  # max keeps the first of equals
    return best if votes.get(best, 0) > 0 else None


def number_of(book: Any) -> int | None:
    """Return the id of a book as the number it is written as, None where it is not: digits, no leading zero."""
    text = str(book) if isinstance(book, int) and not isinstance(book, bool) else book
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal() or len(text) > 19:
        return None
    number = int(text)
    return number if str(number) == text and number <= _LARGEST_ID else None


@dataclass(frozen=True)
class GenreTable:
    """The genre of each book, found by bisection.

    Attributes
    ----------
    ids : ndarray of int64, [M]
        The ids in ascending order.
    codes : ndarray of uint8, [M]
        Their places in `GENRES`, 255 without a vote.
    """

    ids: np.ndarray
    codes: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the dump of votes, a JSON object `{"book_id": ..., "genres": {genre: votes}}` per line.

        Of the 2.36 million books nine bytes each stay in memory; a book that stands twice keeps its first line.

        Raises
        ------
        InputError
            With up to twenty mistakes, each naming its line.
        """
        ids, codes = array("q"), array("B")
        mistakes = Mistakes()
        for number, line in text_lines(path, _LONGEST_LINE):
            try:
                book, code = _parse(line)
            except ValueError as error:
                mistakes.add(f"{path.name}:{number}", str(error))
                if mistakes.full:
                    break
                continue
            ids.append(book)
            codes.append(code)
        mistakes.raise_any()
        return cls.of(np.array(ids, np.int64), np.array(codes, np.uint8))

    @classmethod
    def of(cls, ids: np.ndarray, codes: np.ndarray) -> Self:
        """Bring ids (int64 [M]) and codes (uint8 [M]) into ascending order, equal ids in theirs."""
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], codes[order])

    def genre(self, book: int) -> str | None:
        """Return the genre of a book, None where nobody voted or it is not listed."""
        place = int(np.searchsorted(self.ids, book))
        if place == len(self.ids) or self.ids[place] != book or self.codes[place] == _NONE:
            return None
        return GENRES[self.codes[place]]


def _parse(line: str) -> tuple[int, int]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a JSON object, found this: {error}; mend the line") from None
    book = number_of(row.get("book_id")) if isinstance(row, dict) else None
    votes = row.get("genres") if isinstance(row, dict) else None
    if book is None or not isinstance(votes, dict):
        raise ValueError(f'expected {{"book_id": "<digits>", "genres": {{...}}}}, found {line[:80]!r}; mend the line')
    for genre, count in votes.items():
        if genre not in GENRES:
            near = did_you_mean(genre, GENRES) or f"the genres are {', '.join(map(repr, GENRES))};"
            raise ValueError(f"expected a known genre, found {genre!r}; {near} mend the line")
        if not isinstance(count, int):
            raise ValueError(  # noqa: TRY004 (the caller gathers what is wrong with lines as ValueError)
                f"expected a number of votes for {genre!r}, found {count!r}; mend the line"
            )
    genre = genre_of(votes)
    return book, _NONE if genre is None else GENRES.index(genre)
