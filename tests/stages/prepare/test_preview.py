"""A dry run says what a run would, leaves the outputs alone, and draws the same sheet every time."""

from __future__ import annotations

import html
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.preview.look import ITEMS, Preview, Sample, preview, sheet_page
from stages.prepare.preview.text import preview_lines
from store.errors import InputError
from store.items.records import Item
from tests.stages.prepare.desk import COLUMNS, VOCABULARY, Desk
from tests.stages.report.browser import chromium, open_page

HEAD = "id,image,caption,kind\n"


def look(desk: Desk, columns: dict[str, Any] | None = None, rows: int | None = None, **params: Any) -> Preview:
    asked = PrepareParams(source="table", path=str(desk.data), table=columns or COLUMNS, **params)
    return preview(asked, desk.data.parent / "aside", SilentProgress(), rows)


def lines(found: Preview) -> list[str]:
    return list(preview_lines(found, Path("data/prepare")))


def item(number: int, labels: tuple[str, ...] | None, **changes: Any) -> Item:
    texts = changes.pop("texts", {"caption": f"text {number}"})
    return Item(f"{number:05d}", changes.pop("image", None), texts, labels, changes.pop("target", None), str(number))


def test_what_is_there_in_figures(desk: Desk) -> None:
    Image.new("L", (60, 8)).save(desk.data / "grey.png")
    rows = [f"r{n},{n % 3}.png,{'word ' * (n + 1)},{'cat' if n % 4 else 'dog'}" for n in range(40)]
    rows += [f"long,grey.png,{'word ' * 300},dgo", "gone,gone.png,one,cat", "e,,one,"]
    desk.put("posts.csv", HEAD + "\n".join(rows))
    found = look(desk)
    said = "\n".join(lines(found))
    for part in (
        "dry run of table (multiclass); data/prepare is left as it is",
        "43 read, 42 kept, 1 rejected",
        "1 missing-image; all in",
        "posts.csv:43 (gone): missing-image: no file 'gone.png'",
        "missing     image 1 (2.4%), caption 0 (0.0%)",
        "repeated    image 37 (88.1%), caption 0 (0.0%) have",
        "caption: 42, median 20 words, longest 300, over 256 words 2.4%",
        "41, median 6 x 4 pixels, width 6 to 60, height 4 to 8; modes RGB 40, L 1",
        "3 classes, 41 items labelled; 1 without",
        "1 classes have a single row: dgo",
        f"look at     {found.sheet}",
    ):
        assert part in said, part
    bars = [line.split() for line in said.splitlines() if "█" in line]
    assert [(name, count, len(bar)) for name, count, bar in bars] == [
        ("cat", "30", 30),
        ("dog", "10", 10),
        ("dgo", "1", 1),
    ]
    assert found.rejects.read_text().splitlines()[1].startswith("gone,posts.csv:43,missing-image")


def test_a_regression_and_several_labels(desk: Desk) -> None:
    desk.put("posts.csv", "id,t,y\n" + "".join(f"{n},t{n},{n * n}\n" for n in range(5)) + "x,t,\n")
    said = "\n".join(lines(look(desk, {"id": "id", "text": "t", "target": "y"})))
    assert "5 items with a value, 1 without" in said
    assert "min 0, quartiles 1 4 9, max 16" in said
    rows = [f"{n},t{n},comedy{'|drama' * (n % 2)}" for n in range(30)] + ["m,tm,comdey|drama|x"]
    desk.put("posts.csv", "id,t,y\n" + "\n".join(rows) + "\n")
    said = "\n".join(lines(look(desk, {"id": "id", "text": "t", "labels": "y"})))
    assert "4 classes, 31 items labelled, 1.5 per item, at most 3; 0 without" in said
    assert "misspelt?   comdey (1 rows) is near comedy (30 rows)" in said


def test_nothing_is_written_and_nothing_is_left_over(desk: Desk) -> None:
    desk.put("posts.csv", HEAD + "a,1.png,one,x\n")
    found = look(desk)
    desk.assert_nothing_written()
    assert sorted(path.name for path in found.sheet.parent.iterdir()) == ["contact-sheet.html", "rejects.csv"]
    first = found.sheet.read_bytes()
    assert look(desk).sheet.read_bytes() == first


@pytest.mark.parametrize(
    "table",
    [
        HEAD + "a,1.png,one,x\na,2.png,two,x\n",
        HEAD + "a,gone.png,one,x\n",
        HEAD,
        "id,image,captoin,kind\na,1.png,b,x\n",
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_a_real_run(desk: Desk, table: str) -> None:
    desk.put("posts.csv", table)
    with pytest.raises(InputError) as real:
        desk.prepare()
    with pytest.raises(InputError) as dry:
        look(desk)
    assert str(dry.value) == str(real.value)
    assert not list((desk.data.parent / "aside").iterdir())


def test_a_quick_look_reads_the_first_rows_only(desk: Desk) -> None:
    desk.put("posts.csv", HEAD + "a,1.png,one,x\nb,2.png,two,y\na,gone.png,three,z\n")
    found = look(desk, rows=2)
    assert found.summary.labels == {"x": 1, "y": 1}
    assert "the first 2 rows only" in lines(found)[0]
    assert look(desk, rows=9, limit=1).summary.read == 1


def test_no_cell_reaches_the_terminal_as_it_is(desk: Desk) -> None:
    desk.put(
        "posts.jsonl", '{"id": "\\u001b[2J", "t": "a", "k": "\\u001b]0;x"}\n{"id": "\\u001b[3J", "t": "", "k": "y"}\n'
    )
    columns = {"id": "id", "text": "t", "label": "k"}
    said = "".join(lines(look(desk, columns, max_reject_share=1)))
    assert said.isprintable()
    assert "\\x1b]0;x" in said


def test_scenes_are_drawn_aside_too(tmp_path: Path) -> None:
    params = PrepareParams(source="scenes", path=str(VOCABULARY), scenes={"items": 6, "size": 64})
    found = preview(params, tmp_path / "aside", SilentProgress())
    assert found.summary.kept == 6
    page = found.sheet.read_text("utf-8")
    pictures = re.findall(r' src="data:image/jpeg;base64,([^"]+)"', page)
    assert 5 <= page.count('class="tile"') == len(pictures) <= 6
    assert {Image.open(BytesIO(b64decode(each))).size for each in pictures} == {(64, 64)}
    assert sorted(path.name for path in found.sheet.parent.iterdir()) == ["contact-sheet.html", "rejects.csv"]


def test_a_sample_spreads_over_the_classes_and_is_the_same_again() -> None:
    classes = tuple("abcdef")
    stream = [item(n, None if n % 50 == 0 else ("a",) if n % 7 else (classes[n % 6], "a")) for n in range(2000)]

    def drawn(seed: int) -> list[Item]:
        sample = Sample(classes, ITEMS, seed)
        for each in stream:
            sample.offer(each)
        return sample.items()

    chosen = drawn(0)
    assert len({each.id for each in chosen}) == len(chosen) == ITEMS
    assert {label for each in chosen for label in each.labels or ("none",)} == {*classes, "none"}
    assert drawn(0) == chosen
    assert drawn(1) != chosen
    assert max(int(each.id) for each in chosen) > 1000  # not only the first rows


def test_a_sample_of_more_classes_than_tiles_and_of_none() -> None:
    many = Sample(tuple(map(str, range(100))), 5, 0)
    for n in range(1000):
        many.offer(item(n, (str(n % 100),)))
    assert len({each.labels for each in many.items()}) == 5
    free = Sample((), 5, 0)
    for n in range(100):
        free.offer(item(n, None, target=1.0, texts={"caption": "x" * 10_000}))
    assert len(free.items()) == 5
    assert {len(each.texts["caption"] or "") for each in free.items()} == {400}


ODD = [
    "x" * 4000,
    "a\0b\nc\t\x1b[2J",
    "\u202eright to left עברית",
    "日本語 👨‍👩‍👧",
    "  ",
    "ё" * 300,
    "{{ 7 * 7 }}",
    "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>",
]


def odd_items() -> list[Item]:
    items = [
        item(n, (f"{text} label " * 40, "b"), texts={"caption": text, "title": None}) for n, text in enumerate(ODD)
    ]
    return [*items, item(98, None, image='"><b>.png', target=-1.5), item(99, (), image="gone.png")]


def test_any_text_can_stand_on_a_sheet(tmp_path: Path) -> None:
    page = sheet_page(odd_items(), tmp_path)
    assert all(html.escape(text).replace("&#x27;", "&#39;") in page for text in ODD[1:])
    assert f"<bdi>{'x' * 299}…</bdi>" in page
    assert "<script" not in page
    assert "<img" not in page  # neither the text nor the pictures that are not there
    assert page.count("no picture") == len(ODD) + 2
    assert "target -1.5" in page
    assert "none of the classes" in page
    assert "0 items" in sheet_page([], tmp_path)


def test_a_sheet_in_a_browser(tmp_path: Path) -> None:
    Image.new("RGB", (600, 100)).save(tmp_path / "wide.png")
    sheet = tmp_path / "sheet.html"
    sheet.write_text(sheet_page([*odd_items(), item(5, ("a",), image="wide.png")], tmp_path), "utf-8")
    with chromium() as browser:
        window = open_page(browser, sheet)
        for width in (1280, 390):
            window.wide(width)
            assert window.overflow() <= 0, width
        assert window.ask("document.images.length") == 1
        assert window.ask("document.images[0].naturalWidth") == 240
        assert (window.ask("document.title"), window.said) == ("Contact sheet", [])
        assert window.asked == [sheet.as_uri()]


def test_cells_that_span_lines_are_counted(desk: Desk) -> None:
    desk.put("posts.csv", HEAD + 'a,1.png,"one\ntwo",x\nb,2.png,"one\r\n\r\ntwo",y\nc,3.png,plain,y\n')
    assert "note        2 cells span lines, in 2 rows, the first on posts.csv:2 to 3" in lines(look(desk))
