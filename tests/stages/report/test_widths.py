"""An ordinary run in a real Chromium: no table is cut off on a laptop, and long texts unfold on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.contract import SilentProgress
from stages.report.params import ReportParams
from stages.report.run import run
from tests.rules.cards import write_card
from tests.stages.report.browser import Window, chromium, open_page
from tests.stages.report.run_folder import SYSTEMS, RunFolder

LONG = "A keeper paints gulls every morning before the boats leave the harbour. " * 12
FIELDS = ("title", "post", "comment", "translation")
FIGURES = (
    *("ndcg_5", "jaccard_5", "top_1", "top_5", "precision_5", "recall_10", "mrr", "random_ndcg_5", "random_jaccard"),
    *("random_top_1", "random_top_5", "random_recall_10", "random_mrr", "jaccard_5_low", "jaccard_5_high"),
)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with chromium() as browser:
        folder = RunFolder(tmp_path_factory.mktemp("widths"), captions=(LONG,))
        folder.write_data(fields=FIELDS)
        folder.write_encoders()
        for system in SYSTEMS:
            folder.write_experiment(system)
        folder.write_retrieval("by-image-and-caption")
        path = folder.root / "metrics/retrieve/by-image-and-caption.json"
        counts = {"n_queries": 14000, "n_unanswerable": 312, "n_gallery": 131234, "features": "caption-minilm + lite0"}
        write_card(path, dict.fromkeys(FIGURES, 0.4321) | counts)
        run(ReportParams(), folder.inputs, folder.outputs, SilentProgress())
        yield open_page(browser, Path(folder.outputs.page))


@pytest.mark.parametrize("section", ["retrieval", "data"])
def test_no_table_is_cut_off_at_1280_pixels(window: Window, section: str) -> None:
    window.wide(1280)
    frames = f"[...document.querySelectorAll('section[aria-labelledby={section}] .scroll:has(table)')]"
    assert window.ask(f"{frames}.length") > 0
    assert window.ask(f"{frames}.filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)") == []


def test_every_measure_stands_above_what_a_blind_choice_reaches(window: Window) -> None:
    heads = "[...document.querySelectorAll('.systems thead th')].map(e => e.innerText)"
    assert window.ask(heads)[3:] == ["Jaccard 5", "nDCG 5", "top 1", "top 5", "precision 5", "recall 10", "mrr"]
    cells = "[...document.querySelectorAll('.systems tbody td')].slice(2).map(e => e.innerText)"
    assert all("blind 0.432" in cell for cell in window.ask(cells))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_long_text_on_a_card_is_short_until_it_is_unfolded(window: Window, width: int) -> None:
    window.wide(width)
    card = window.page.locator("#examples ~ .cards .card").first
    text = card.locator("details.text").first
    closed = text.bounding_box()["height"]
    assert card.bounding_box()["width"] >= 250
    assert closed <= 7 * 16
    assert text.inner_text().endswith("… ")
    text.locator("summary").click()
    assert text.bounding_box()["height"] > 2 * closed
    assert " ".join(LONG[:900].split()) in " ".join(text.inner_text().split())
    text.locator("summary").click()
    assert text.bounding_box()["height"] == closed
    assert window.overflow() == 0
    assert window.said == []
