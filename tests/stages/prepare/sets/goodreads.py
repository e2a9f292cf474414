"""Writes a small data set in the layout of the Goodreads dumps, or as the table that the authors prepared of them."""

import csv
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.stages.prepare.sets.painting import paint

KEPT = 80
BARE = (20, 63)
"""Numbers of the kept books that have no cover."""
SKIPPED = {"no description": 3, "not rated": 3, "language": 4, "no cover": 3, "no genre vote": 4}
"""Books that the filter leaves out, by reason."""
GENRES = (
    "history, historical fiction, biography", "fiction", "fantasy, paranormal", "mystery, thriller, crime", "poetry",
    "romance", "non-fiction", "children", "young-adult", "comics, graphic",
)  # fmt: skip
FICTION = ("fiction", "romance", "fantasy, paranormal", "young-adult")
_CYCLE = (1, 5, 2, 3, 1, 6, 5, 0, 8, 2)
_NOUNS = ("kings", "letters", "dragons", "detectives", "verses", "lovers", "facts", "kittens", "teenagers", "heroes")
_PLACES = ("in the north", "by the sea", "of the old town", "in a long winter", "under the bridge", "of tomorrow")
_LANGUAGES = ("eng", "en-US", "en-CA", "en", "eng-GB")


def write_goodreads(folder: Path) -> None:
    """Write 97 books, 80 of which pass the filter, their genres in another order, and 78 covers of 112 x 96 pixels."""
    books: list[dict[str, Any]] = [_book(number) for number in range(KEPT)]
    genres = [{"book_id": str(book_id(number)), "genres": votes_of(number)} for number in range(KEPT)]
    for place, (reason, number) in enumerate((reason, n) for reason, count in SKIPPED.items() for n in range(count)):
        book, votes = _left_out(KEPT + place, reason)
        books.insert(5 * place + 2, book)
        if reason != "no genre vote" or number % 2:
            genres.append({"book_id": book["book_id"], "genres": votes})
    _gzip_lines(folder / "goodreads_books.json.gz", books)
    _gzip_lines(folder / "goodreads_book_genres_initial.json.gz", reversed(genres))
    _covers(folder)


def write_goodreads_table(folder: Path) -> None:
    """Write the same 80 books as `books_with_genres.csv`, which has two more columns, and the same covers."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        _book(number) | {"category": genre_of(number), "binary_category": int(genre_of(number) in FICTION)}
        for number in range(KEPT)
    ]
    with (folder / "books_with_genres.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    _covers(folder)


def book_id(number: int) -> int:
    """Return the id of a book."""
    return 5_333_265 - 61 * number


def genre_of(number: int) -> str:
    """Return the genre with the most votes, in a tie the first of the list."""
    return GENRES[_CYCLE[number % len(_CYCLE)]]


def votes_of(number: int) -> dict[str, int]:
    """Return the votes of a book; every seventh has a tie with a genre further down the list."""
    own = _CYCLE[number % len(_CYCLE)]
    other = own + 1 if number % 7 == 0 else (own + 3) % len(GENRES)
    return {GENRES[other]: 9 if number % 7 == 0 else 2, GENRES[own]: 9}


def rating_of(number: int) -> float:
    """Return the average rating of a book."""
    return round(3.2 + 0.1 * _CYCLE[number % len(_CYCLE)] + 0.01 * (37 * number % 50), 2)


def _book(number: int) -> dict[str, Any]:
    genre = _CYCLE[number % len(_CYCLE)]
    title = f"The {_NOUNS[genre]} {_PLACES[number % len(_PLACES)]}, volume {number}"
    story = f'{title}: "a story" of {_NOUNS[genre]}\nand {_NOUNS[(genre + number) % 10]}.'
    work = "" if number % 13 == 4 else str(900_000 + (number - 1 if number % 10 == 9 else number))
    return {
        "isbn": "", "text_reviews_count": str(number), "series": [], "country_code": "US",
        "language_code": _LANGUAGES[number % len(_LANGUAGES)], "popular_shelves": [{"count": "58", "name": "to-read"}],
        "asin": "", "is_ebook": "false", "average_rating": f"{rating_of(number):.2f}", "kindle_asin": "",
        "similar_books": [], "description": story,
        "format": "", "link": "", "authors": [{"author_id": str(number), "role": ""}], "publisher": "",
        "num_pages": "", "publication_day": "", "isbn13": "", "publication_month": "", "edition_information": "",
        "publication_year": "", "url": "", "image_url": f"https://covers.invalid/books/{book_id(number)}.jpg",
        "book_id": str(book_id(number)), "ratings_count": "140", "work_id": work, "title": title,
        "title_without_series": title,
    }  # fmt: skip


def _left_out(number: int, reason: str) -> tuple[dict[str, Any], dict[str, int]]:
    changes: dict[str, dict[str, str]] = {
        "no description": {"description": ""},
        "not rated": {"average_rating": "0.00"},
        "language": {"language_code": ("spa", "", "en-GB", "fre")[number % 4]},
        "no cover": {"image_url": "https://covers.invalid/nophoto/book/111x148.png"},
    }
    return _book(number) | changes.get(reason, {}), {} if reason == "no genre vote" else {"poetry": 1}


def _covers(folder: Path) -> None:
    for number in set(range(KEPT)) - set(BARE):
        cover = folder / "images" / f"{book_id(number)}.jpg"
        paint(cover, number, [_CYCLE[number % len(_CYCLE)] % 6])
        if number % 3:
            cover.rename(cover.with_suffix(""))


def _gzip_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
