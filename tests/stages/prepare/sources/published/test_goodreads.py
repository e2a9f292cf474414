"""The source `goodreads`: the filter of the paper in file order, the genre rule, and the prepared table."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.prepare.sources.published.goodreads.genres import FICTION, GENRES, GenreTable, genre_of, number_of
from store.errors import InputError
from tests.stages.prepare.sets import goodreads as sets
from tests.stages.prepare.sets.preparing import prepare_into, rows_of

BOOKS, VOTES = "goodreads_books.json.gz", "goodreads_book_genres_initial.json.gz"
BOOK = {
    "book_id": "12", "title": "T", "description": "D", "average_rating": "4.03", "language_code": "eng",
    "image_url": "https://covers.invalid/12.jpg", "work_id": "900",
}  # fmt: skip


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("goodreads")
    sets.write_goodreads(folder)
    return folder


def put(folder: Path, books: list[Any], votes: list[Any] | None = None) -> Path:
    """Write dumps of some books; without votes each has one for poetry."""
    folder.mkdir(exist_ok=True)
    given = [{"book_id": book["book_id"], "genres": {"poetry": 1}} for book in books] if votes is None else votes
    for name, rows in ((BOOKS, books), (VOTES, given)):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (folder / name).write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def test_what_the_filter_keeps_stands_in_file_order_and_what_it_leaves_out_is_counted(
    dumps: Path, tmp_path: Path
) -> None:
    manifest, summary = prepare_into("goodreads", dumps, tmp_path / "out")
    assert manifest.ids() == [str(sets.book_id(number)) for number in range(sets.KEPT)]
    assert summary.skipped == dict(sorted(sets.SKIPPED.items()))
    assert (summary.read, summary.kept, summary.rejected) == (sets.KEPT, sets.KEPT, {})
    fiction = sum(sets.genre_of(number) in FICTION for number in range(sets.KEPT))
    assert summary.labels == {"non-fiction": sets.KEPT - fiction, "fiction": fiction}
    assert summary.missing["image"] == len(sets.BARE)


def test_fiction_is_the_positive_class(dumps: Path, tmp_path: Path) -> None:
    manifest, _ = prepare_into("goodreads", dumps, tmp_path / "out")
    assert manifest.info.classes == ("non-fiction", "fiction")
    assert manifest.class_index().tolist() == [int(sets.genre_of(n) in FICTION) for n in range(sets.KEPT)]


def test_the_genre_and_the_rating_as_answers(dumps: Path, tmp_path: Path) -> None:
    genres, _ = prepare_into("goodreads", dumps, tmp_path / "genre", goodreads={"answer": "genre"})
    assert genres.info.classes == sets.GENRES == GENRES
    assert [genres.info.classes[index] for index in genres.class_index()] == genres.meta("genre")
    assert genres.meta("genre") == [sets.genre_of(number) for number in range(sets.KEPT)]
    ratings, summary = prepare_into("goodreads", dumps, tmp_path / "rating", goodreads={"answer": "rating"})
    assert ratings.info.task == "regression"
    assert ratings.info.classes == ()
    assert ratings.targets().tolist() == [sets.rating_of(number) for number in range(sets.KEPT)]
    assert summary.labelled == sets.KEPT


def test_covers_with_and_without_an_ending_or_none(dumps: Path, tmp_path: Path) -> None:
    manifest, _ = prepare_into("goodreads", dumps, tmp_path / "out")
    expected = [f"images/{sets.book_id(number)}{'' if number % 3 else '.jpg'}" for number in range(sets.KEPT)]
    for bare in sets.BARE:
        expected[bare] = None  # type: ignore[call-overload]
    assert manifest.images() == expected
    assert manifest.keys("image")[1].sum() == sets.KEPT - len(sets.BARE)


def test_editions_of_a_work_are_a_group_and_a_book_without_work_is_its_own(dumps: Path, tmp_path: Path) -> None:
    manifest, _ = prepare_into("goodreads", dumps, tmp_path / "out")
    groups = manifest.groups()
    assert groups[8] == groups[9] == "900008"
    assert groups[4] == f"book {sets.book_id(4)}"
    assert manifest.meta("work_id")[4] is None


def test_a_limit_stops_after_so_many_kept(dumps: Path, tmp_path: Path) -> None:
    manifest, summary = prepare_into("goodreads", dumps, tmp_path / "out", limit=10)
    assert manifest.ids() == [str(sets.book_id(number)) for number in range(10)]
    assert 0 < sum(summary.skipped.values()) < sum(sets.SKIPPED.values())


def test_the_prepared_table_gives_the_same_items(dumps: Path, tmp_path: Path) -> None:
    sets.write_goodreads_table(tmp_path / "set")
    for answer in ("fiction", "genre", "rating"):
        of_table, summary = prepare_into(
            "goodreads", tmp_path / "set", tmp_path / f"t-{answer}", goodreads={"answer": answer}
        )
        of_dumps, _ = prepare_into("goodreads", dumps, tmp_path / f"d-{answer}", goodreads={"answer": answer})
        assert rows_of(of_table) == rows_of(of_dumps)
        assert of_table.targets().tolist() == of_dumps.targets().tolist() or answer != "rating"
    assert summary.notes == ("books_with_genres.csv is read: its rows have passed the filter",)


def test_rows_of_the_table_that_contradict_the_rule_are_rejected(tmp_path: Path) -> None:
    sets.write_goodreads_table(tmp_path / "set")
    path = tmp_path / "set" / "books_with_genres.csv"
    text = path.read_text()
    path.write_text(text.replace(",fiction,1\n", ",fiction,0\n", 1).replace(",romance,1\n", ",love,1\n", 1))
    _, summary = prepare_into("goodreads", tmp_path / "set", tmp_path / "out")
    assert summary.rejected == {"bad-record": 2}
    path.write_text(text.replace("binary_category", "binary", 1))
    with pytest.raises(
        InputError, match=r"books_with_genres\.csv:1: expected the column 'binary_category', found none"
    ):
        prepare_into("goodreads", tmp_path / "set", tmp_path / "out")


def unquoted_books(folder: Path, told: dict[int, str]) -> Path:
    """Write a prepared table of 24 books without quoting, some lines of it as told."""
    folder.mkdir()
    head = "book_id,title,description,average_rating,category,binary_category"
    rows = [f"{n},Book {n},A story,4.0,poetry,0" for n in range(1, 25)]
    text = "\n".join([head, *(told.get(n, row) for n, row in enumerate(rows, start=1))])
    (folder / "books_with_genres.csv").write_text(f"{text}\n")
    return folder


def test_books_that_a_stray_quote_swallows_stop_the_run(tmp_path: Path) -> None:
    told = {8: '8,Book 8,"A story,4.0,poetry,0', 12: '12,Book 12,A story",4.0,poetry,0'}
    with pytest.raises(InputError, match=r"books_with_genres\.csv:9: expected one book, found 5 on the lines up to 13"):
        prepare_into("goodreads", unquoted_books(tmp_path / "set", told), tmp_path / "out")


def test_a_malformed_book_is_rejected_and_a_line_of_blanks_is_none(tmp_path: Path) -> None:
    folder = unquoted_books(tmp_path / "set", {5: "5,Book 5,a lost separator 4.0,poetry,0", 24: "   "})
    manifest, summary = prepare_into("goodreads", folder, tmp_path / "out")
    assert manifest.ids() == [str(n) for n in range(1, 24) if n != 5]
    assert summary.rejected == {"bad-record": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"description": ""}, "no description"),
        ({"description": "", "average_rating": "much"}, "no description"),
        ({"average_rating": "0.00", "language_code": "spa"}, "not rated"),
        ({"average_rating": ""}, "not rated"),
        ({"language_code": "en-GB"}, "language"),
        ({"language_code": ""}, "language"),
        ({"language_code": "ENG"}, "language"),
        ({"image_url": "https://x.invalid/assets/nophoto/book/a.png"}, "no cover"),
    ],
)
def test_a_reason_to_leave_a_book_out(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    folder = put(tmp_path / "set", [BOOK, {**BOOK, "book_id": "13", **change}])
    manifest, summary = prepare_into("goodreads", folder, tmp_path / "out")
    assert manifest.ids() == ["12"]
    assert summary.skipped == {reason: 1}


def test_a_description_of_blanks_passes_the_filter_as_it_does_for_the_authors_and_is_missing(tmp_path: Path) -> None:
    folder = put(tmp_path / "set", [{**BOOK, "description": "  "}])
    manifest, summary = prepare_into("goodreads", folder, tmp_path / "out")
    assert manifest.texts("description") == [None]
    assert summary.skipped == {}


def test_other_languages_may_be_named(tmp_path: Path) -> None:
    folder = put(tmp_path / "set", [BOOK, {**BOOK, "book_id": "13", "language_code": "en-GB"}])
    manifest, _ = prepare_into("goodreads", folder, tmp_path / "out", goodreads={"languages": ["en-GB"]})
    assert manifest.ids() == ["13"]


@pytest.mark.parametrize(
    ("change", "rejected"),
    [
        ({"average_rating": "much"}, {"bad-target": 1}),
        ({"average_rating": "nan"}, {"bad-target": 1}),
        ({"average_rating": "403"}, {"bad-target": 1}),
        ({"title": "half \ud83d of a pair"}, {"bad-text": 1}),
        ({"book_id": "12"}, {"bad-record": 1}),
        ({"average_rating": 4.03, "work_id": 77}, {}),
    ],
)
def test_a_wrong_row_is_rejected_and_numbers_pass_as_well(
    tmp_path: Path, change: dict[str, Any], rejected: dict[str, int]
) -> None:
    folder = put(tmp_path / "set", [BOOK, {**BOOK, "book_id": "13", **change}])
    _, summary = prepare_into("goodreads", folder, tmp_path / "out", max_reject_share=0.5)
    assert summary.rejected == rejected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", r"goodreads_books\.json\.gz:2: expected a JSON object, found this: "),
        ("[]", r"goodreads_books\.json\.gz:2: expected a JSON object, found a list"),
        ('{"book_id": "012"}', r"goodreads_books\.json\.gz:2: expected the id of a book, found '012'"),
        ('{"book_id": null}', r":2: expected the id of a book, found None"),
        ("[" * 100_000, r":2: expected a JSON object, found this: "),
    ],
)
def test_a_line_that_is_no_book_stops_the_run(tmp_path: Path, line: str, told: str) -> None:
    folder = put(tmp_path / "set", [BOOK, line], [{"book_id": "12", "genres": {"poetry": 1}}])
    with pytest.raises(InputError, match=told):
        prepare_into("goodreads", folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"book_id": "12", "genres": {"poetri": 1}}', "expected a known genre, found 'poetri'; did you mean 'poetry'"),
        ('{"book_id": "12", "genres": {"poetry": "1"}}', "expected a number of votes for 'poetry', found '1'"),
        ('{"book_id": "x", "genres": {}}', 'expected {"book_id": "<digits>", "genres": {...}}'),
        ("nothing", "expected a JSON object, found this"),
    ],
)
def test_wrong_genres_are_told_with_their_line(tmp_path: Path, line: str, told: str) -> None:
    folder = put(tmp_path / "set", [BOOK], [{"book_id": "11", "genres": {}}, line])
    with pytest.raises(InputError) as caught:
        prepare_into("goodreads", folder, tmp_path / "out")
    assert str(caught.value).startswith(f"{VOTES}:2: {told}")


def test_dumps_that_are_unpacked_damaged_or_missing(tmp_path: Path) -> None:
    folder = put(tmp_path / "set", [BOOK])
    packed = (folder / BOOKS).read_bytes()
    (folder / BOOKS).write_bytes(packed[:-9])
    with pytest.raises(InputError, match=r"goodreads_books\.json\.gz: expected a whole gzip file, found a damaged one"):
        prepare_into("goodreads", folder, tmp_path / "out")
    (folder / BOOKS).unlink()
    with pytest.raises(InputError, match=r"expected goodreads_books\.json\.gz \(with or without \.gz\) or books_with"):
        prepare_into("goodreads", folder, tmp_path / "out")
    (folder / BOOKS.removesuffix(".gz")).write_bytes(gzip.decompress(packed))
    assert prepare_into("goodreads", folder, tmp_path / "out")[0].ids() == ["12"]


def test_the_genre_rule_gives_the_published_count_of_fiction() -> None:
    published = {
        "fiction": 1083, "romance": 1016, "fantasy, paranormal": 869, "mystery, thriller, crime": 553,
        "non-fiction": 453, "history, historical fiction, biography": 332, "young-adult": 220, "comics, graphic": 204,
        "children": 192, "poetry": 78,
    }  # fmt: skip
    assert set(published) == set(GENRES)
    rows = [genre_of({genre: 2, "poetry": 1}) for genre, count in published.items() for _ in range(count)]
    fiction = sum(row in FICTION for row in rows)
    assert (fiction, len(rows) - fiction) == (3188, 1812) == (1083 + 1016 + 869 + 220, 1812)


@pytest.mark.parametrize(
    ("votes", "genre"),
    [
        ({"poetry": 3, "fiction": 3}, "fiction"),
        ({"comics, graphic": 5, "young-adult": 5, "poetry": 4}, "young-adult"),
        ({"romance": 1, "fiction": 0}, "romance"),
        ({"fiction": 0}, None),
        ({}, None),
    ],
)
def test_the_most_votes_decide_and_the_first_of_a_tie(votes: dict[str, int], genre: str | None) -> None:
    assert genre_of(votes) == genre


def test_genres_are_found_by_bisection_in_nine_bytes_a_book() -> None:
    random = np.random.default_rng(0)
    ids, codes = random.permutation(10_000)[:4000], random.integers(0, len(GENRES) + 1, 4000).astype(np.uint8)
    codes[codes == len(GENRES)] = 255
    table = GenreTable.of(ids, codes)
    assert table.ids.nbytes + table.codes.nbytes == 9 * 4000
    known = {int(book): None if code == 255 else GENRES[code] for book, code in zip(ids, codes, strict=True)}
    assert [table.genre(book) for book in range(10_001)] == [known.get(book) for book in range(10_001)]
    assert GenreTable.of(np.array([5, 5]), np.array([2, 1], np.uint8)).genre(5) == GENRES[2]


@pytest.mark.parametrize(
    ("value", "number"),
    [("5333265", 5333265), (7, 7), ("0", 0), ("07", None), ("-1", None), ("1.0", None), ("²", None), (True, None),
     (None, None), ("9" * 19, None), ("9" * 400, None), (str(2**63 - 1), 2**63 - 1)],
)  # fmt: skip
def test_ids_are_digits(value: Any, number: int | None) -> None:
    assert number_of(value) == number
