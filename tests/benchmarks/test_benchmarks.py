"""The benchmarks run and measure what the goals are about; what they find is for `make bench` to tell."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from benchmarks.book import PAGE, PLOT, RESULTS, page, plot, read_results
from benchmarks.goals import BOOK, GOALS, Goal
from benchmarks.machine import processor
from benchmarks.repro import asked
from tests.pipeline.project import ROOT

FIELDS = {"name", "subject", "peer", "ratio", "subject_value", "peer_value", "unit", "note"}


def test_the_results_kept_are_those_of_every_benchmark() -> None:
    rows = read_results()["rows"]
    assert all(row.keys() == FIELDS for row in rows)
    book = {name for told in BOOK.values() for name in told}
    named = {row["name"] for row in rows}
    assert set(GOALS) <= book
    assert named == book
    assert all(row["ratio"] == pytest.approx(row["subject_value"] / row["peer_value"], rel=0.02) for row in rows)


def test_the_page_and_the_plot_are_those_of_the_results() -> None:
    text, results = PAGE.read_text("utf-8"), read_results()
    assert page(text, results) == text, "run `python -m benchmarks --book`"
    order = [name for told in BOOK.values() for name in told]
    rows = sorted(results["rows"], key=lambda row: order.index(row["name"]))
    assert plot(rows) == PLOT.read_text("utf-8"), "run `python -m benchmarks --book`"
    drawn = ElementTree.fromstring(PLOT.read_text("utf-8"))  # noqa: S314 (our own file)
    assert {row["name"] for row in rows} <= {each.text for each in drawn.iter() if each.tag.endswith("text")}


def test_a_goal_that_is_missed_is_said_to_be() -> None:
    text, results = PAGE.read_text("utf-8"), copy.deepcopy(read_results())
    (row,) = (each for each in results["rows"] if each["name"] == "embed.use")
    row["ratio"] = 0.5
    written = page(text, results)
    assert "0.5 | >= 1, **missed** |" in written
    assert "`embed.use`" in next(line for line in written.splitlines() if "goals are met; missed:" in line)


def test_a_row_that_the_book_does_not_know_is_refused() -> None:
    results = copy.deepcopy(read_results())
    results["rows"][0]["name"] = "new.row"
    with pytest.raises(SystemExit, match=r"new\.row"):
        page(PAGE.read_text("utf-8"), results)


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"twice in benchmarks\.md"):
        page("# Benchmarks\n", read_results())


@pytest.mark.parametrize(
    ("goal", "met"), [(Goal("<=", 1.5), False), (Goal(">=", 1.5), True), (Goal("<=", 1, "value"), True)]
)
def test_a_goal_is_about_the_ratio_or_the_value(goal: Goal, met: bool) -> None:
    assert goal.met({"ratio": 2.0, "subject_value": 0.5, "unit": "s"}) is met


def test_the_machine_is_named_and_neither_host_nor_user(tmp_path: Path) -> None:
    named = {"date", "processor", "cores", "memory_gb", "gpu", "system", "python", "versions"}
    assert read_results()["machine"].keys() - {"note"} == named
    assert "/home/" not in RESULTS.read_text("utf-8") + PAGE.read_text("utf-8")
    (tmp_path / "cpuinfo").write_text("flags\t: avx2\nmodel name\t: Some Processor 3\nmodel name\t: Other\n")
    assert processor(tmp_path / "cpuinfo") == "Some Processor 3"


@pytest.mark.parametrize("light", [False, True])
def test_the_runs_of_dvc_keep_each_stage_that_they_are_about(light: bool) -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    changed = asked(copy.deepcopy(params), light=light)
    assert all(experiment.get("epochs", 1) == 1 for experiment in changed["train"].values())
    if not light:
        assert changed["embed"] == params["embed"]
        assert changed["train"].keys() == params["train"].keys()


@pytest.mark.slow
def test_small_benchmarks_run() -> None:
    before = RESULTS.read_bytes(), PAGE.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--small"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} >= set(GOALS)
    assert (RESULTS.read_bytes(), PAGE.read_bytes()) == before
