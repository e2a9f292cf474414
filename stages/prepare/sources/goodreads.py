"""The source `goodreads`: books with cover, title and description; docs/systems/sources.md#goodreads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.errors import InputError
from stages.items import Item, ManifestInfo
from stages.prepare.params import PrepareParams
from stages.prepare.sources.goodreads_books import BOOKS, GENRE_VOTES, TABLE, Book, filled, read_dump, read_table
from stages.prepare.sources.goodreads_genres import FICTION, GENRES, GenreTable
from stages.prepare.sources.protocol import Folders, Reject, Skip

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
