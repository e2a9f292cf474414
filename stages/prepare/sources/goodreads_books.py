"""Reads the books of the dump of Goodreads through the filter of the paper, or the prepared table; for `goodreads`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.errors import InputError
from stages.prepare.sources.csv_table import CsvFile
from stages.prepare.sources.goodreads_genres import FICTION, GENRES, GenreTable, number_of
from stages.prepare.sources.problems import did_you_mean
from stages.prepare.sources.protocol import Reject, Skip
from stages.prepare.sources.table_row import TableRow
from stages.prepare.sources.text_lines import text_lines

BOOKS, GENRE_VOTES, TABLE = "goodreads_books.json.gz", "goodreads_book_genres_initial.json.gz", "books_with_genres.csv"
_LONGEST_LINE = 16 * 1024 * 1024
_USED = ("book_id", "title", "description", "average_rating", "language_code", "image_url", "work_id")
_HIGHEST = 5.0
_TABLE_COLUMNS = ("book_id", "title", "description", "average_rating", "category", "binary_category")
_BINARY = {"1": True, "1.0": True, "true": True, "fiction": True} | {
    "0": False, "0.0": False, "false": False, "non-fiction": False,
}  # fmt: skip


class Book(NamedTuple):
    """A book that is kept: the fields that are used as they stand in the file, its rating and its genre."""

    id: str
    fields: Mapping[str, str | None]
    rating: float
    genre: str
    where: str


def read_dump(books: Path, genres: GenreTable, languages: tuple[str, ...]) -> Iterator[Book | Reject | Skip]:
    """Yield the books of the dump in its order, those that the filter leaves out as skips with the first reason.

    Kept is what has a description, an average rating above 0, one of the languages, a cover (an address without
    `nophoto`) and at least one vote for a genre.

    Raises
    ------
    InputError
        When a line is no JSON object with the id of a book.
    """
    for number, line in text_lines(books, _LONGEST_LINE):
        where = f"{books.name}:{number}"
        row = _object(line, where)
        identity = number_of(row.get("book_id"))
        if identity is None:
            raise InputError(f"{where}: expected the id of a book, found {row.get('book_id')!r}; mend the line")
        yield _filtered(str(identity), _fields(row), genres.genre(identity), languages, where)


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected a JSON object, found this: {error}; mend the line") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object, found a {type(row).__name__}; mend the line")
    return row


def _fields(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the fields that are used as texts: the dump writes all values as strings, other writers numbers."""
    values = {name: row.get(name) for name in _USED}
    return {name: str(value) if isinstance(value, (str, int, float)) else None for name, value in values.items()}


def _filtered(
    identity: str, fields: Mapping[str, str | None], genre: str | None, languages: tuple[str, ...], where: str
) -> Book | Reject | Skip:
    if not fields["description"]:
        return Skip("no description")
    try:
        rating = _rating(fields["average_rating"])
    except ValueError as error:
        return Reject(identity, where, "bad-target", str(error))
    reasons = {
        "not rated": rating <= 0,
        "language": fields["language_code"] not in languages,
        "no cover": "nophoto" in (fields["image_url"] or ""),
    }
    reason = next((reason for reason, holds in reasons.items() if holds), None)
    if reason is not None or genre is None:
        return Skip(reason or "no genre vote")
    return _sound(Book(identity, fields, rating, genre, where))


def filled(text: str | None) -> str | None:
    """Return a text, None where it is blank."""
    return text if text is not None and text.strip() else None


def _rating(text: str | None) -> float:
    try:
        value = float(filled(text) or 0)
    except ValueError:
        raise ValueError(f"expected an average rating, found {text!r}") from None
    if not math.isfinite(value) or not 0 <= value <= _HIGHEST:
        raise ValueError(f"expected an average rating from 0 to 5, found {text!r}")
    return value


def _sound(book: Book) -> Book | Reject:
    try:
        "".join(text or "" for text in book.fields.values()).encode()
    except UnicodeEncodeError:
        return Reject(book.id, book.where, "bad-text", "a text holds half of a surrogate pair")
    return book


def read_table(path: Path) -> Iterator[Book | Reject]:
    """Yield the books of the prepared table: the filter has been applied, genre and fiction stand in columns.

    Raises
    ------
    InputError
        When a column is missing, or a stray quote has swallowed rows.
    """
    file = CsvFile(path, "utf-8")
    columns = file.columns()
    for column in _TABLE_COLUMNS:
        if column not in columns:
            near = did_you_mean(column, columns) or f"the columns are {', '.join(map(repr, columns))};"
            raise InputError(f"{path.name}:1: expected the column {column!r}, found none; {near} mend the header")
    for row in file.rows(frozenset((*_USED, *_TABLE_COLUMNS))):
        where = f"{path.name}:{row.line}"
        _refuse_swallowed(row, where)
        if row.fault:
            yield Reject("", where, "bad-record", row.fault)
        elif not row.blank:
            cells = {name: cell if isinstance(cell, str) else None for name, cell in row.cells.items()}
            yield _prepared(cells, where)


def _refuse_swallowed(row: TableRow, where: str) -> None:
    """Stop at a row of which one line after the first is a book of its own."""
    if row.span is None:
        return
    books = [each for each in row.span.alone if each["category"] in GENRES and number_of(each["book_id"]) is not None]
    if len(books) > 1 or (books and row.fault):
        raise InputError(
            f"{where}: expected one book, found {len(books)} on the lines up to {row.span.last}; mend the stray quote"
        )


def _prepared(cells: Mapping[str, str | None], where: str) -> Book | Reject:
    identity = number_of(cells["book_id"])
    if identity is None:
        return Reject(str(cells["book_id"]), where, "bad-record", "expected the id of a book: digits")
    genre, binary = cells["category"] or "", (cells["binary_category"] or "").strip().lower()
    if genre not in GENRES or _BINARY.get(binary) is not (genre in FICTION):
        detail = f"category {genre!r} beside binary_category {binary!r}: not a genre, or not what the rule says"
        return Reject(str(identity), where, "bad-record", detail)
    try:
        rating = _rating(cells["average_rating"])
    except ValueError as error:
        return Reject(str(identity), where, "bad-target", str(error))
    return _sound(Book(str(identity), _fields(cells), rating, genre, where))
