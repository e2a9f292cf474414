"""The page in a real Chromium: quiet, on its own, sortable, readable at any width, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.report.params import ReportParams
from stages.report.run import run

from .browser import CONTRAST, Window, chromium, open_page
from .hostile import hostile_run

WIDTHS = (320, 390, 768, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def file(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert browser  # without one, no page need be made
    folder, inputs = hostile_run(tmp_path_factory.mktemp("hostile"))
    run(ReportParams(), inputs, folder.outputs, SilentProgress())
    return folder.outputs.page


@pytest.fixture(scope="module")
def shared(browser: Any, file: Path) -> Window:
    return open_page(browser, file)


@pytest.fixture
def window(shared: Window) -> Iterator[Window]:
    shared.page.emulate_media(color_scheme="light", media="screen")
    shared.wide(1280)
    yield shared
    assert shared.said == []


def test_it_is_quiet_and_asks_for_nothing(window: Window, file: Path) -> None:
    assert [url for url in window.asked if not url.startswith("data:")] == [file.as_uri()]
    assert window.said == []
    assert file.stat().st_size < 10_000_000


def test_the_watch_can_fail(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
    body = "<body style='width: 3000px'><img src='file:///x.png'><script>alert(1); nothing()</script>"
    page.write_text(f'<meta http-equiv="Content-Security-Policy" content="{policy}">{body}')
    seen = open_page(browser, page)
    assert any(each.startswith("dialog") for each in seen.said)
    assert any("nothing is not defined" in each for each in seen.said)
    assert any("policy: img-src" in each for each in seen.said)
    assert seen.overflow() > 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways(window: Window, width: int) -> None:
    window.wide(width)
    assert window.overflow() <= 0


def test_pictures_have_sizes_and_words(window: Window) -> None:
    assert len(window.ask("[...document.images].map(i => i.src)")) >= 12
    assert window.ask("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert window.ask("[...document.images].every(i => i.alt.trim() && i.width > 0 && i.height > 0)")
    assert window.ask(
        "[...document.images].every(i => +i.getAttribute('width') === i.naturalWidth"
        " && +i.getAttribute('height') === i.naturalHeight)"
    )


def test_anchors_ids_headings_and_language(window: Window) -> None:
    ids = window.ask("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(set(ids)) == len(ids)
    links = window.ask("[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))")
    assert {link for link in links if not link.startswith("#")} == set()
    assert {link[1:] for link in links} <= set(ids)
    levels = window.ask("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    assert all(next_ <= level + 1 for level, next_ in pairwise(levels))
    assert window.ask("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(window: Window, scheme: str) -> None:
    window.page.emulate_media(color_scheme=scheme)
    found = window.ask(CONTRAST)
    assert len(found) > 500
    assert [each for each in found if each[0] < 4.5] == []
