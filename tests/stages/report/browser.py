"""Opens a page in the Chromium of the system and watches what it does; where there is none, the tests say so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# The sandbox of Chromium needs rights that a container or root does not give; the page is our own file.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
VIOLATION = "addEventListener('securitypolicyviolation', e => console.error('policy: ' + e.violatedDirective))"


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the system's Chromium, or skip the test with what is lacking."""
    driver = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[dev]'")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Window:
    """One open page, and what it said and asked for since it was opened."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def dismiss(self, dialog: Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def ask(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)

    def wide(self, width: int, height: int = 900) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        sides = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
        return cast(int, self.ask(sides))

    def head(self, name: str) -> Any:
        """The button of one column of the leaderboard."""
        return self.page.locator("table.board th button").get_by_text(name, exact=True)

    def press(self, name: str) -> None:
        self.head(name).click()

    def column(self, name: str) -> list[str]:
        """The cells of one column of the leaderboard, in the order of now: what it sorts by."""
        at = self.head(name).evaluate("one => one.parentElement.cellIndex")
        cells = "[...document.querySelector('table.board').tBodies[0].rows].map(row => row.cells[n])"
        return cast(list[str], self.ask(f"n => {cells}.map(one => one.dataset.value ?? one.innerText)", at))

    def sorted_by(self) -> list[tuple[str, str]]:
        heads = "[...document.querySelectorAll('th[aria-sort]')]"
        found = self.ask(f"{heads}.map(one => [one.innerText, one.getAttribute('aria-sort')])")
        return [(name, order) for name, order in found]


def open_page(browser: Any, path: Path, *, script: bool = True) -> Window:
    """Open a file of this machine; only what it loads besides itself counts as asked for."""
    size = {"width": 1280, "height": 900}
    context = browser.new_context(viewport=size, java_script_enabled=script, reduced_motion="reduce")
    page = context.new_page()
    window = Window(page)
    page.on("console", lambda message: window.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: window.said.append(f"error: {error}"))
    page.on("dialog", window.dismiss)
    page.on("request", lambda request: window.asked.append(request.url))
    page.add_init_script(VIOLATION)
    page.goto(path.as_uri())
    return window


# Notes what the keys come to: its place among all elements, how it shows, and whether it lies where one sees it.
FOLLOW = """() => {
  const all = [...document.querySelectorAll("*")];
  window.reached = [];
  addEventListener("focusin", ({target: e}) => {
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    window.reached.push({tag: e.tagName, text: e.innerText, place: all.indexOf(e),
      outline: style.outlineStyle === "none" ? "none" : style.outlineWidth,
      inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth});
  });
}"""

# Every element that holds text itself, and is drawn: its colour on what lies below it, as WCAG 2 reckons contrast. Left
# out is what a drawing writes in the colour of the card: it stands on a shape that is no parent of it.
CONTRAST = """() => {
  const parse = c => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const below = e => { if (!e) return [255, 255, 255, 1]; const c = parse(getComputedStyle(e).backgroundColor);
    return c[3] === 1 ? c : over(c, below(e.parentElement)); };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join("");
    if (!own || e.tagName === "SCRIPT" || !e.checkVisibility({opacityProperty: true})) continue;
    if (e instanceof SVGElement && e.getAttribute("style")?.includes("--card")) continue;
    const style = getComputedStyle(e), ground = below(e);
    const ink = over(parse(e instanceof SVGElement ? style.fill : style.color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), `${e.tagName}.${e.className} ${own.slice(0, 40)}`]);
  }
  return found;
}"""
