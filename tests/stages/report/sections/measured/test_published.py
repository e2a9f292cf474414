"""Published figures beside measured ones: what the paper lacks, what was not run, and how the two are matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stages.contract import SilentProgress
from stages.report.params import ReportParams
from stages.report.read.experiments import Experiment
from stages.report.read.published import read_published
from stages.report.read.systems import System
from stages.report.run import run
from stages.report.sections.measured.published import compare
from store.errors import InputError
from store.results.cards import EntryCard
from tests.stages.report.run_folder import SYSTEMS, whole_run

TABLE: dict[str, Any] = {
    "paper": "Nobody, A paper about <b>birds</b>.",
    "table": "Table 9.",
    "metrics": {
        "accuracy": {"measured": ["subset_accuracy"], "percent": True, "meaning": "All labels right."},
        "F1": {"measured": ["f1_macro"], "meaning": "The mean over classes."},
        "found": {"measured": ["top_1", "top_5"], "meaning": "One relevant item among the first K; K is not stated."},
        "colour": {"meaning": "Nothing here measures it."},
    },
    "systems": {
        "attention": {"accuracy": 44.5, "F1": "not reported", "colour": 3},
        "never-run": {"F1": 0.4331},
        "both-knn": {"found": 0.79},
    },
    "remarks": {"never-run": "Takes a year."},
    "notes": ["Every figure of this table is made up | so to say."],
}


def experiment(name: str, **means: float) -> Experiment:
    deviations = dict.fromkeys(means, 0.0125)
    return Experiment(name, "multilabel", ("a",), "none", "mlp", 9, 3, means, deviations, {"f1_macro": (0.1, 0.9)})


def lines(*experiments: Experiment, systems: Sequence[System] = ()) -> dict[tuple[str, str], tuple[str, ...]]:
    found = compare(read_published(TABLE, "t.yaml"), experiments, systems, "").lines
    return {(line.system, line.measured_as): line.cells for line in found}


def test_a_line_says_what_was_printed_what_was_measured_and_how_far_they_are_apart() -> None:
    found = lines(experiment("attention", subset_accuracy=0.5, f1_macro=0.25))
    assert found["attention", "subset_accuracy"][1:] == (
        "accuracy", "subset_accuracy", "0.4450", "0.5000 ± 0.0125", "+0.0550",
    )  # fmt: skip
    assert found["attention", "f1_macro"][3:] == ("not reported", "0.2500 ± 0.0125 [0.1000, 0.9000]", "")
    assert found["attention", ""][1:] == ("colour", "", "3.0000", "", "")


def test_what_was_not_run_is_blank_and_still_listed() -> None:
    assert lines()["never-run", "f1_macro"] == ("never-run", "F1", "f1_macro", "0.4331", "", "")
    assert lines(experiment("attention", f1_macro=float("nan")))["attention", "f1_macro"][4:] == ("", "")


def test_a_figure_of_unknown_depth_is_compared_with_each_depth_of_the_retrieval() -> None:
    found = lines(systems=[System("both-knn", EntryCard({"top_1": 0.5, "top_5": 1.0}, {"n_queries": 2}), ())])
    assert found["both-knn", "top_1"][3:] == ("0.7900", "0.5000", "-0.2900")
    assert found["both-knn", "top_5"][3:] == ("0.7900", "1.0000", "+0.2100")


def test_systems_that_the_paper_does_not_have_follow_with_the_metrics_that_compare() -> None:
    found = [*lines(experiment("dummy", f1_macro=0.1, label_accuracy=0.9), experiment("attention", f1_macro=0.2))]
    assert found[-1] == ("dummy", "f1_macro")
    assert [name for name, _ in found[:-1]] == ["attention"] * 3 + ["never-run"] + ["both-knn"] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"systems": {"a": {"recall": 1.0}}}, r"t\.yaml: .*systems\.a: expected metrics among .*found 'recall'"),
        ({"systems": {"a": {}}}, "found none"),
        ({"systems": {"a": {"F1": "0.5"}}}, r"systems\.a\.F1"),
        ({"systems": {"a": {"F1": float("nan")}}}, r"systems\.a\.F1"),
        ({"systems": {}}, "systems"),
        ({"remarks": {"b": "no such"}}, "expected systems of the table, found 'b'"),
        ({"pepar": "x"}, "pepar"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(change: dict[str, Any], message: str) -> None:
    content = {**TABLE, "remarks": {}, **change}
    with pytest.raises(InputError, match=message):
        read_published(content, "t.yaml")


@pytest.mark.parametrize("name", ["other/coco.yaml", "recipes/published/../coco.yaml", "recipes/published/coco.json"])
def test_published_figures_lie_where_dvc_watches(name: str) -> None:
    assert ReportParams(published="recipes/published/coco-2.yaml").published
    with pytest.raises(ValidationError, match=r"expected recipes/published/<name>\.yaml"):
        ReportParams(published=name)


def test_the_report_writes_the_comparison_and_shows_it(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    params = ReportParams(published="recipes/published/t.yaml")
    run(params, replace(folder.inputs, published=TABLE), folder.outputs, SilentProgress())
    text = folder.outputs.compare.read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]][:4] == ["| attention"] * 3 + ["| never-run"]
    assert {f"| {system.name}" for system in SYSTEMS} <= {row[0] for row in rows}
    assert "- accuracy, measured as subset_accuracy: All labels right." in text
    assert "- never-run: Takes a year." in text
    assert "\nMeasured: 12 rows of the test part of scenes, 24 items.\n" in text
    page = folder.outputs.page.read_text("utf-8")
    assert 'id="published"' in page
    assert "birds&lt;/b&gt;" in page
    assert "<td>not reported</td>" in page.replace(' class="number"', "")


def test_without_published_figures_there_is_no_such_section(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    run(ReportParams(), folder.inputs, folder.outputs, SilentProgress())
    assert not folder.outputs.compare.exists()
    assert 'id="published"' not in folder.outputs.page.read_text("utf-8")
