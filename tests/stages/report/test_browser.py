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
from tests.stages.report.browser import CONTRAST, FOLLOW, Window, chromium, open_page
from tests.stages.report.hostile import hostile_run

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
    shared.page.uncheck("#all-metrics")
    shared.ask("document.querySelectorAll('details').forEach(one => { one.open = false; })")
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


def test_a_press_sorts_and_a_second_one_turns_the_order_round(window: Window) -> None:
    ranked = window.column("macro F1")
    assert ranked == sorted(ranked, key=float, reverse=True)
    window.press("macro F1")
    assert window.column("macro F1") == sorted(ranked, key=float)
    assert window.sorted_by() == [("macro F1", "ascending")]
    assert window.ask("document.getElementById('sorted').innerText") == "Sorted by macro F1, ascending."
    window.press("experiment")
    names = window.column("experiment")
    assert window.sorted_by() == [("experiment", "ascending")]
    assert names.index("attention") < names.index("concat-mlp") < names.index("text-hash")
    window.press("experiment")
    assert window.column("experiment") == names[::-1]
    window.press("macro F1")
    assert window.column("macro F1") == ranked


def test_numbers_sort_as_numbers_and_a_blank_is_last_either_way(window: Window) -> None:
    window.page.check("#all-metrics")
    for order in (True, False):
        window.press("micro F1")
        *known, last = window.column("micro F1")
        assert last == ""
        assert known == sorted(known, key=float, reverse=order)
    window.press("macro F1")


def test_keys_sort_too(window: Window) -> None:
    before = window.column("head")
    window.head("head").focus()
    for key, order in (("Enter", "ascending"), ("Space", "descending")):
        window.page.keyboard.press(key)
        assert window.sorted_by() == [("head", order)]
        assert window.column("head") == sorted(before, reverse=order == "descending")
    window.press("macro F1")


@pytest.mark.parametrize("script", [True, False])
def test_other_metrics_are_shown_when_asked_for(browser: Any, file: Path, script: bool) -> None:
    page = open_page(browser, file, script=script).page
    head = page.locator("th.more", has_text="micro F1")
    assert not head.is_visible()
    assert page.locator("th", has_text="looks at").is_visible()
    page.get_by_label("Show all 7 metrics").check()
    assert head.is_visible()


def test_a_row_leads_to_what_made_it(window: Window) -> None:
    page = window.page
    page.click("table.board a >> text=deep")
    panel = page.locator("details#experiment-deep")
    assert panel.evaluate("one => one.open")
    assert panel.get_by_text("dvc repro evaluate@deep").is_visible()
    steps = panel.locator(".trail a").all_inner_texts()
    assert steps == ["joined", "caption-hash", "small", "image-colorhist", "small", "image-colorhist"]
    panel.locator(".trail a", has_text="joined").click()
    assert page.locator("tr:target").inner_text().startswith("joined")
    page.locator("tr:target a", has_text="small").click()
    assert page.locator("tr:target").inner_text().startswith("small")
    page.locator("tr:target a", has_text="image-colorhist").click()
    assert "ab12ab12ab12" in page.locator("tr:target").inner_text()
    page.click("table.board a >> text=deep")
    panel.locator("summary").click()
    page.click("table.board a >> text=deep")  # the address is the same as before
    assert panel.evaluate("one => one.open")
    panel.locator("summary").click()


def test_keys_reach_everything_in_order_and_show_where_they_are(window: Window) -> None:
    window.page.goto(window.page.url.partition("#")[0])
    reachable = "a[href], button, input, summary, [tabindex='0']"
    wanted = window.ask(f"[...document.querySelectorAll({reachable!r})].filter(e => e.checkVisibility()).length")
    window.ask(FOLLOW)
    for _ in range(wanted):
        window.page.keyboard.press("Tab")
    reached = window.ask("window.reached")
    assert len(reached) == wanted
    assert reached[0]["text"] == "Skip to the leaderboard"
    assert [each["place"] for each in reached] == sorted({each["place"] for each in reached})
    assert [each for each in reached if each["outline"] in ("none", "0px") or not each["inside"]] == []
    assert {"A", "BUTTON", "INPUT", "SUMMARY", "DIV"} == {each["tag"] for each in reached}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways(window: Window, width: int) -> None:
    window.wide(width)
    window.page.check("#all-metrics")
    window.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
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


def test_paper_shows_all_and_cuts_nothing_off(window: Window) -> None:
    window.wide(718)  # A4 between margins of 10 mm
    opened = "[...document.querySelectorAll('details')].map(one => one.open)"
    before = window.ask(opened)
    window.page.emulate_media(media="print")
    assert not window.page.locator("nav").is_visible()
    assert not window.page.locator("#all-metrics").is_visible()
    window.page.locator("details:not([open])").first.wait_for(
        state="detached"
    )  # told of the change with the next frame
    assert window.page.get_by_text("dvc repro evaluate@attention", exact=True).is_visible()
    wide = "[...document.querySelectorAll('table, figure, img, svg, pre, .strip')].filter(one => "
    beyond = f"{wide} one.getBoundingClientRect().right > innerWidth + 1).map(one => one.closest('section').innerText)"
    assert window.ask(beyond) == []
    assert window.overflow() <= 0
    window.page.emulate_media(media="screen")
    for _ in range(40):  # the page closes them in a later frame
        if window.ask(opened) == before:
            break
        window.page.wait_for_timeout(50)
    assert window.ask(opened) == before
    assert False in before


def test_paper_shows_panels_without_a_script_too(browser: Any, file: Path) -> None:
    page = open_page(browser, file, script=False).page
    command = page.get_by_text("dvc repro evaluate@attention", exact=True)
    assert not command.is_visible()
    page.emulate_media(media="print")
    assert command.bounding_box()["height"] > 0
