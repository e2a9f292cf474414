"""The source `goodreads`: books with cover, title and description; docs/systems/sources.md#goodreads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.prepare.params import PrepareParams
from stages.prepare.sources.mistakes import did_you_mean
from stages.prepare.sources.protocol import Folders, Reject, Skip
from stages.prepare.sources.published.goodreads.genres import FICTION, GENRES, GenreTable, number_of
from stages.prepare.sources.table.cells import TableRow
from stages.prepare.sources.table.csv_file import CsvFile
from stages.prepare.sources.text_files import text_lines
from store.errors import InputError
from store.items.records import Item, ManifestInfo

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


FICTION_CLASSES = ("non-fiction", "fiction")
"""Fiction is class 1: the positive one of precision, recall and F1."""
_META = ("genre", "average_rating", "language_code", "work_id")


class GoodreadsSource:
    """Reads the dumps through the filter of the paper, or the table that its authors prepared.

    Editions of one work form a group.

    Parameters
    ----------
    params : PrepareParams
        `folder` is the data set, `goodreads` says what is to be predicted, `limit` how many books are kept.
    folders : Folders
        Not used: the covers lie in the data set.

    Raises
    ------
    InputError
        When a file is missing, or the genres are wrong.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:  # noqa: ARG002 (the shape of every source)
        self._params = params.goodreads
        self._limit = params.limit
        self._root = params.folder
        self._table = self._root / TABLE
        if self._table.is_file():
            self._genres = None
            self.files: tuple[Path, ...] = (self._table,)
            self.notes: tuple[str, ...] = (f"{TABLE} is read: its rows have passed the filter",)
        else:
            self._dump = _dump(self._root, BOOKS)
            votes = _dump(self._root, GENRE_VOTES)
            self._genres = GenreTable.read(votes)
            self.files = (self._dump, votes)
            self.notes = (f"{len(self._genres.ids)} books have a line in the dump of genres",)
        self.expected = None
        self.images = self._root
        regression = self._params.answer == "rating"
        classes = FICTION_CLASSES if self._params.answer == "fiction" else GENRES
        self.info = ManifestInfo(
            source="goodreads",
            root=str(self._root),
            task="regression" if regression else "multiclass",
            classes=() if regression else classes,
            fields=("title", "description"),
            meta=_META,
        )

    def items(self) -> Iterator[Item | Reject | Skip]:
        """Yield the books in the order of the file; a book that stands twice is rejected the second time."""
        seen: set[int] = set()
        counted = 0
        for row in self._books():
            if isinstance(row, Skip):
                yield row
                continue
            yield self._item(row, seen) if isinstance(row, Book) else row
            counted += 1
            if counted == self._limit:
                return

    def _books(self) -> Iterator[Book | Reject | Skip]:
        if self._genres is None:
            return read_table(self._table)
        return read_dump(self._dump, self._genres, self._params.languages)

    def _item(self, book: Book, seen: set[int]) -> Item | Reject:
        if int(book.id) in seen:
            return Reject(book.id, book.where, "bad-record", "this book stands on an earlier line")
        seen.add(int(book.id))
        work = filled(book.fields["work_id"])
        return Item(
            id=book.id,
            image=self._cover(book.id),
            texts={name: filled(book.fields[name]) for name in self.info.fields},
            labels=self._labels(book),
            target=book.rating if self._params.answer == "rating" else None,
            group=f"book {book.id}" if work is None else work,  # a book and a work may bear the same number
            meta={**{name: filled(book.fields.get(name)) for name in _META}, "genre": book.genre},
            where=book.where,
        )

    def _labels(self, book: Book) -> tuple[str, ...] | None:
        if self._params.answer == "rating":
            return None
        return (book.genre if self._params.answer == "genre" else FICTION_CLASSES[book.genre in FICTION],)

    def _cover(self, book: str) -> str | None:
        """Return the path of the cover, whose name the authors gave no ending; None where there is none."""
        names = (f"{self._params.covers}/{book}", f"{self._params.covers}/{book}.jpg")
        return next((name for name in names if (self._root / name).is_file()), None)


def _dump(root: Path, name: str) -> Path:
    """Return a dump, gzipped or already unpacked."""
    packed, plain = root / name, root / name.removesuffix(".gz")
    found = next((path for path in (packed, plain) if path.is_file()), None)
    if found is None:
        raise InputError(
            f"expected {name} (with or without .gz) or {TABLE} in {root}, found neither; fetch it, or mend prepare.path"
        )
    return found
