"""Quotes that were never meant as such, and cells that span lines: no row is swallowed, and long texts stay."""

from __future__ import annotations

import pytest

from store.errors import InputError
from tests.stages.prepare.desk import Desk

COLUMNS = {"id": "id", "text": "t", "label": "k"}
HEAD = "id,t,k\n"


def unquoted(stray: tuple[int, int] = (8, 12)) -> str:
    """Write 24 rows without quoting, a stray quote at the start of one text and another at the end of a later one."""
    texts = {stray[0]: '"so it began', stray[1]: 'and so it ended"'}
    rows = [f"{number},{texts.get(number, f'text {number}')},{'xy'[number % 2]}\n" for number in range(1, 25)]
    return HEAD + "".join(rows)


@pytest.mark.parametrize("stray", [(8, 12), (1, 2), (23, 24), (1, 24)])
def test_rows_that_a_stray_quote_swallows_stop_the_run(desk: Desk, stray: tuple[int, int]) -> None:
    path = desk.put("posts.csv", unquoted(stray))
    first, last = stray[0] + 1, stray[1] + 1
    with pytest.raises(InputError, match=rf"posts\.csv:{first}: expected one row, found the lines {first} to {last}"):
        desk.prepare(path, COLUMNS)
    desk.assert_nothing_written()


def test_a_file_without_quoting_keeps_every_row(desk: Desk) -> None:
    manifest, summary = desk.prepare(desk.put("posts.csv", unquoted()), {**COLUMNS, "quoting": "none"})
    assert manifest.ids() == [str(number) for number in range(1, 25)]
    assert [manifest.texts("caption")[place] for place in (7, 8, 11)] == ['"so it began', "text 9", 'and so it ended"']
    assert manifest.class_index().tolist() == [number % 2 for number in range(1, 25)]
    assert (summary.read, summary.rejected) == (24, {})


def test_whoever_means_such_a_cell_says_so(desk: Desk) -> None:
    manifest, summary = desk.prepare(desk.put("posts.csv", unquoted()), {**COLUMNS, "quoting": "standard"})
    assert len(manifest) == 20
    assert summary.notes == ("1 cells span lines, in 1 rows, the first on posts.csv:9 to 13",)


def test_swallowed_numbers_are_noticed_too(desk: Desk) -> None:
    path = desk.put("posts.csv", 'id,t,y\na,"one,1.5\nb,two,2\nc,three",3\nd,four,4\n')
    with pytest.raises(InputError, match=r"posts\.csv:2: .*the lines 2 to 4 in one, of which 3 are rows"):
        desk.prepare(path, {"id": "id", "text": "t", "target": "y"})


def test_a_malformed_row_that_holds_others_is_no_mere_reject(desk: Desk) -> None:
    path = desk.put("posts.csv", HEAD + 'a,"one,x\nb,two,y\nc,three,"\n' + "".join(f"{n},t,x\n" for n in range(60)))
    with pytest.raises(InputError, match=r"posts\.csv:2: expected one row, found the lines 2 to 4"):
        desk.prepare(path, COLUMNS)


def test_texts_of_several_lines_are_kept_and_counted(desk: Desk) -> None:
    texts = ["Hello,\nyou there.", "A list:\n\n- one, two, three\n- four\n", "plain", "Dear Sir, well,\nyes, no, x"]
    cells = [text.replace('"', '""') for text in texts]
    rows = "".join(f'{number},"{cell}",{"xy"[number % 2]}\n' for number, cell in enumerate(cells))
    manifest, summary = desk.prepare(desk.put("posts.csv", HEAD + rows), COLUMNS)
    assert manifest.texts("caption") == texts
    assert summary.notes == ("3 cells span lines, in 3 rows, the first on posts.csv:2 to 3",)


def test_a_text_whose_lines_have_as_many_cells_as_a_row_is_kept_and_named(desk: Desk) -> None:
    path = desk.put("posts.csv", HEAD + 'a,"Hello\nyes, then",x\nb,"Oh, no\nWell, yes",x\nc,plain,y\n')
    manifest, summary = desk.prepare(path, COLUMNS)
    assert manifest.texts("caption") == ["Hello\nyes, then", "Oh, no\nWell, yes", "plain"]
    assert "the lines of 1 of these rows have as many cells as a row (posts.csv:4 to 5)" in summary.notes[-1]


@pytest.mark.parametrize(
    ("first", "mark", "options"),
    [
        ("sep=;", ";", {}),
        ('"sep=;"', ";", {}),
        ("SEP=;", ";", {"delimiter": ";"}),
        ("sep=\t", "\t", {}),
        ("sep=,", ",", {}),
        ("\ufeffsep=;", ";", {}),
    ],
)
def test_a_first_line_may_say_what_stands_between_cells(
    desk: Desk, first: str, mark: str, options: dict[str, str]
) -> None:
    rows = [["id", "t", "k"], ["a", "one", "x"], ["b", "two", "y"], ["b", "three", "y"]]
    table = "".join(f"{line}\r\n" for line in [first, *(mark.join(row) for row in rows)])
    with pytest.raises(InputError, match=r"posts\.csv:5: .*duplicate id 'b' of posts\.csv:4"):
        desk.prepare(desk.put("posts.csv", table), {**COLUMNS, **options})
    manifest, _ = desk.prepare(desk.put("posts.csv", table), {**COLUMNS, **options}, limit=2)
    assert manifest.texts("caption") == ["one", "two"]


def test_a_delimiter_that_is_asked_for_wins_over_the_first_line(desk: Desk) -> None:
    path = desk.put("posts.csv", "sep=;\nid,t,k\na,one,x\n")
    manifest, _ = desk.prepare(path, {**COLUMNS, "delimiter": ","})
    assert manifest.texts("caption") == ["one"]
    with pytest.raises(InputError, match=r"posts\.csv:2: expected cells with ';' .* set prepare\.table\.delimiter"):
        desk.prepare(path, COLUMNS)
