"""The section on missing inputs: drops in the order of the leaderboard, what was refused, and rates by source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.report.read.experiments import read_experiments
from stages.report.read.leaderboard import rank_experiments
from stages.report.read.matrices import Lineage
from stages.report.sections.measured.missing import MissingSection, read_missing
from store.errors import InputError
from tests.rules.cards import change_card
from tests.stages.report.run_folder import SYSTEMS, RunFolder, whole_run
from tests.stages.report.test_page import Page, report

HEADER = "condition,scope,rows,f1_macro,subset_accuracy,f1_macro_delta,subset_accuracy_delta,note\n"
ROWS = [
    {"source": source, "rows": rows, "missing": {"caption": count}, "share": {"caption": count / rows}}
    for source, rows, count in (("google", 2000, 158), ("<i>flickr", 1000, 343), ("all", 3000, 501))
]
REASON = "not possible: both of `fuse` holds several <b>fields</b>"


def write_table(folder: RunFolder, name: str, *lines: str) -> None:
    (folder.root / "data" / "evaluate" / name / "missing.csv").write_text(HEADER + "".join(f"{one}\n" for one in lines))


def write_rates(folder: RunFolder, rows: list[dict[str, object]]) -> None:
    path = folder.root / "data" / "prepare" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "missing_by": rows}))


def run_with_tables(root: Path) -> RunFolder:
    """Write a run whose best experiment reads both, another the text alone, and a third a fused matrix."""
    folder = whole_run(root)
    full = ("full,all rows,12,0.512,0.1,0.0,0.0,", "full,2 classes,5,0.6,0.1,0.0,0.0,")
    without = ("without caption,all rows,12,0.4,0.1,-0.112,0.0,", "without caption,2 classes,5,0.7,0.1,0.1,0.0,")
    picture = ("without image,all rows,12,0.212,0.1,-0.3,0.0,", "without image,2 classes,5,0.3,0.1,-0.3,0.0,")
    write_table(folder, "attention", *full, *picture, *without)
    write_table(folder, "text-hash", full[0], full[1], *without)
    write_table(folder, "concat-mlp", full[0], f"not possible,all rows,,,,,,{REASON}")
    write_rates(folder, ROWS)
    path = folder.root / "metrics" / "evaluate" / "attention.json"
    change_card(path, missing_classes="bird, tool", missing={"image_f1_macro_delta": -0.3})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_with_tables(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(folder: RunFolder) -> Page:
    return report(folder)[1]


def test_drops_are_told_with_their_sign_and_scope(page: Page) -> None:
    assert "attention 0.512 −0.300 (−0.300) −0.112 (+0.100)" in page.text
    assert "text-hash 0.512 – −0.112 (+0.100)" in page.text
    assert "drawn by the seed: bird, tool" in page.text


def test_what_was_refused_is_told_with_its_reason_as_text(page: Page) -> None:
    assert f"concat-mlp : {REASON}." in page.text
    assert not page.all("b")


def test_the_drawing_has_words_and_the_link_arrives(page: Page) -> None:
    (drawing,) = [each for each in page.all("svg") if "without each input" in (each["aria-label"] or "")]
    assert "attention without image −0.300 (−0.300)" in (drawing["aria-label"] or "")
    assert {"href": "#missing"} in page.all("a")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert ids.count("plot-missing") == ids.count("missing") == 1


def test_drops_are_no_columns_of_the_leaderboard(folder: RunFolder, page: Page) -> None:
    assert "missing" not in folder.outputs.leaderboard.read_text()
    assert not [each for each in page.all("button") if "missing" in (each.get("title") or "")]


def test_rates_are_told_by_source(page: Page) -> None:
    assert (
        "source items no caption google 2,000 158 (7.9%) <i>flickr 1,000 343 (34.3%) all 3,000 501 (16.7%)" in page.text
    )
    assert all("style" in each for each in page.all("i"))


def small_run(root: Path) -> RunFolder:
    folder = RunFolder(root)
    folder.write_data(images=False)
    folder.write_experiment(SYSTEMS[0], seeds=1, epochs=1)
    return folder


def section(folder: RunFolder) -> MissingSection | None:
    board = rank_experiments(read_experiments(folder.inputs.cards("evaluate")), None, Lineage({}))
    return read_missing(board, folder.inputs.metrics, folder.inputs.data)


def test_without_the_test_and_without_sources_there_is_no_section(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    assert section(folder) is None
    write_table(folder, "attention")
    assert section(folder) is None
    write_rates(folder, ROWS[-1:])
    assert section(folder) is None


def test_rates_need_no_test_of_models(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    write_rates(folder, ROWS)
    found = section(folder)
    assert found is not None
    assert (found.plot, found.drops, found.fields) == (None, (), ("caption",))
    assert found.rates[1].missing == {"caption": (343, 0.343)}


def test_the_metric_is_the_one_of_the_leaderboard_where_the_table_has_it(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    write_table(folder, "attention", "full,all rows,12,0.5,0.1,0,0,", "without image,all rows,12,0.4,0,-0.1,-0.09,")
    board = rank_experiments(read_experiments(folder.inputs.cards("evaluate")), "subset_accuracy", Lineage({}))
    found = read_missing(board, folder.inputs.metrics, folder.inputs.data)
    assert found is not None
    assert (found.metric, found.drops[0].full) == ("subset_accuracy", 0.1)
    assert found.drops[0].changes == {"without image": {"all rows": -0.09}}


def test_another_table_is_refused(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    (folder.root / "data" / "evaluate" / "attention" / "missing.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"expected a column 'condition' in .*missing\.csv"):
        section(folder)
