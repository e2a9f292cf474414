"""The page of a search: one file, nothing fetched, texts of the data stay texts, old files stay when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.search import output
from pipeline.search.nearest import Found
from pipeline.search.output import check_place, render, write_page
from store.errors import InputError
from tests.pipeline.search.search_case import HOSTILE, UNSEEN, Case, find

QUERY = "<img src=x onerror=alert(1)> \"quoted\" & 'single'"


class Page(HTMLParser):
    """Collects tags with attributes, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """All items of a project, for a query with a picture and a text."""
    case = Case(tmp_path_factory.mktemp("page"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(case.root)
        case.make(("prepare", "split", "embed"))
        image = case.picture(0).rename(case.root / "<b>bold&.png")
        yield find(image, QUERY, "both", k=48)


def test_hostile_words_of_query_data_and_file_name_stay_words(found: Found) -> None:
    page = Page(render(found))
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert HOSTILE in page.text
    assert QUERY in page.text
    assert "<b>bold&.png" in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_every_picture_is_inside_with_size_and_words(found: Found) -> None:
    page = Page(render(found))
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    # The query's own; the picture of p0 has been renamed since, and is told to be gone.
    assert len(pictures) == 1 + 48 - len(UNSEEN) - 1
    assert page.text.count("picture not readable") == 1
    assert page.text.count("no picture") == len(UNSEEN)
    for picture in pictures:
        assert str(picture["src"]).startswith("data:image/jpeg;base64,")
        assert int(picture["width"] or 0) > 0
        assert int(picture["height"] or 0) > 0
        assert picture["alt"]
    (policy,) = (given["content"] for tag, given in page.tags if tag == "meta" and "http-equiv" in given)
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")
    links = [value for _, given in page.tags for name, value in given.items() if name in {"href", "src"}]
    assert all(str(link).startswith("data:") for link in links)


def test_equal_searches_give_equal_bytes_and_leave_no_temporary_file(found: Found, tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    write_page(page, found)
    first = page.read_bytes()
    write_page(page, found)
    assert page.read_bytes() == first
    assert list(tmp_path.iterdir()) == [page]


def test_a_page_that_grows_too_large_leaves_the_old_one(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "found.html"
    page.write_text("old", "utf-8")
    monkeypatch.setattr(output, "MAX_BYTES", 20_000)
    with pytest.raises(InputError, match="lower -k"):
        write_page(page, found)
    assert page.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_a_folder_no_folder_and_the_querys_own_picture_are_no_place_for_a_page(tmp_path: Path) -> None:
    image = tmp_path / "cat.png"
    for place, said in (
        (tmp_path, "found the folder"),
        (tmp_path / "nowhere/found.html", "found no folder"),
        (image, "the query's picture"),
    ):
        with pytest.raises(InputError, match=said):
            check_place(place, image)
    check_place(tmp_path / "found.html", image)
    check_place(None, None)
