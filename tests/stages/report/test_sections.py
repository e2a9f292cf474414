"""The sections on the page: whole, absent, of retrieval alone; and a malformed file overwrites nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from stages.contract import SilentProgress
from stages.report.params import ReportParams
from stages.report.run import SECTIONS, TEMPLATES, run
from store.errors import InputError
from tests.stages.report.outcome_files import table, write_sections
from tests.stages.report.run_folder import SYSTEMS, RunFolder, System
from tests.stages.report.test_page import Page, report

TOLD = (
    "Table of 1 pair",
    "fused − words +",
    "Corrected for 1 pair by Holm",
    "a paired test over 12 groups",
    "caption-hash, as encoded: silhouette −0.000",
    "Numbered in the fused map",
    "sport has a score of 0.900",
    "1 of 10 test pictures look nearly like one of train or dev",
    "images 2 bits apart",
    "items 8 4",
)
ANCHORS = {"#pairs", "#presence", "#maps", "#mistakes"}


def small_run(root: Path) -> RunFolder:
    folder = RunFolder(root)
    folder.write_data()
    folder.write_encoders()
    folder.write_experiment(System("fused", "caption-hash + image-colorhist", "concat", "mlp", 0.5), seeds=1, epochs=1)
    folder.write_experiment(System("words", "caption-hash", "none", "mlp", 0.4), seeds=1, epochs=1)
    folder.write_retrieval()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = small_run(tmp_path_factory.mktemp("run"))
    write_sections(folder, "fused", "words")
    table(folder.root / "data/retrieve/both-knn.curve.csv", "k,top_k,recall,precision,random", "1,1,0,0,0", "2,1,0,0,1")
    return folder


@pytest.fixture(scope="module")
def page(folder: RunFolder) -> Page:
    return report(folder, examples=0)[1]


def test_every_section_has_a_name_and_a_template_of_its_own() -> None:
    names = [section.name for section in SECTIONS]
    assert len({*names}) == len({section.title for section in SECTIONS}) == len(names)
    templates = {path.name.removesuffix(".html.j2") for path in TEMPLATES.glob("*/*.html.j2")}
    assert templates == {*names, "leaks"}  # a part of the data


def test_every_section_is_there_and_linked(page: Page) -> None:
    links = {attributes.get("href") for attributes in page.all("a")}
    assert links >= ANCHORS
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert {anchor[1:] for anchor in ANCHORS} <= set(ids)
    assert {"plot-pairs", "plot-calibration", "plot-presence", "plot-weights-fused", "plot-retrieval"} <= set(ids)


def test_every_drawing_has_words_and_a_size(page: Page) -> None:
    for picture in [*page.all("img"), *page.all("svg")]:
        assert picture.get("alt") or picture.get("aria-label")
        assert int(picture["width"] or 0) > 0


def test_what_the_sections_tell(page: Page) -> None:
    for words in TOLD:
        assert words in page.text


def test_the_pairs_stand_in_a_table_beside_the_page(folder: RunFolder, page: Page) -> None:
    assert page.text
    with folder.outputs.pairs.open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["first"], row["second"], row["metric"], row["groups"]) == ("fused", "words", "f1_macro", "12")


def test_without_their_files_the_sections_are_left_out(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    page = report(folder, examples=0)[1]
    assert ANCHORS.isdisjoint(attributes.get("href") for attributes in page.all("a"))
    assert not folder.outputs.pairs.exists()
    assert "Near-duplicates" not in page.text


def test_outcomes_of_another_manifest_stop_the_report_and_leave_the_old_one(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    report(folder, examples=0)
    before = folder.outputs.page.read_bytes()
    write_sections(RunFolder(tmp_path, classes=tuple(f"other {name}" for name in folder.classes)), "fused", "words")
    with pytest.raises(InputError, match=r"expected classes of the manifest .*found 'other"):
        report(folder, examples=0)
    assert folder.outputs.page.read_bytes() == before
    assert not folder.outputs.pairs.exists()


def test_the_page_speaks_of_the_systems_and_not_of_what_a_floor_gets_wrong(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_data()
    folder.write_encoders()
    folder.write_experiment(SYSTEMS[-1])
    before = run(ReportParams(), folder.inputs, folder.outputs, SilentProgress())["verdict"]
    assert before.startswith("dummy is the only experiment")
    assert 'id="examples"' in folder.outputs.page.read_text("utf-8")
    folder.write_retrieval()
    said = run(ReportParams(), folder.inputs, folder.outputs, SilentProgress())["verdict"]
    assert said.startswith("The retrieval system both-knn finds something relevant first for 0.500 of the queries")
    page = folder.outputs.page.read_text("utf-8")
    assert 'id="retrieval"' in page
    assert page.count("[0.125, 0.875]") == 2  # in the table and in the system's panel
    assert "top_1_low" not in page
    assert not [name for name in ("plots", "examples", "mistakes") if f'id="{name}"' in page]
    assert 'href="#plots"' not in page
