"""Looking inside through `dvc repro`: tables that DVC plots, header alone or not, and what a change of them reruns."""

from __future__ import annotations

import copy
import csv
from pathlib import Path

import pytest

from tests.end_to_end.runs.test_repro import Project
from tests.pipeline.project import call

pytestmark = pytest.mark.slow
BOTH = ["small", "image-colors"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has run once. The tests of this file change it one after the other."""
    made = Project(tmp_path_factory.mktemp("inside") / "project")
    made.params = copy.deepcopy(made.params)
    made.params["reduce"] = {"small": {"features": "caption-hash", "method": "pca", "components": 8}}
    made.params["train"] = {
        "dummy": {"features": ["small"], "head": "dummy"},
        "attention": {
            "features": BOTH,
            "fusion": "attention",
            "head": "native",
            "width": 8,
            "hidden": [8],
            "epochs": 5,
        },
    }
    made.params["evaluate"] |= {"weights": True, "tsne": {"experiments": ["attention"], "classes": 3}}
    made.repro()
    return made


def rows(project: Project, path: str) -> list[dict[str, str]]:
    with (project.folder / "data" / path).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_run_leaves_the_tables(project: Project) -> None:
    assert {row["input"] for row in rows(project, "evaluate/attention/weights.csv")} == set(BOTH)
    assert {row["kind"] for row in rows(project, "evaluate/attention/tsne_panels.csv")} == {"raw", "tuned", "fused"}
    assert rows(project, "evaluate/attention/tsne.csv")
    assert not rows(project, "evaluate/dummy/tsne.csv")
    assert [row["component"] for row in rows(project, "reduce/small.variance.csv")] == [str(at) for at in range(1, 9)]


def test_dvc_plots_all_of_them(project: Project, tmp_path: Path) -> None:
    done = call(project.folder, "dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "plots" / "index.html").read_text("utf-8")
    for name in ("evaluate_attention_weights", "evaluate_attention_tsne", "reduce_small_variance"):
        assert f"data_{name}_csv" in page
    assert "fused vectors" in page


def test_another_drawing_evaluates_again_and_trains_nothing(project: Project) -> None:
    before = rows(project, "evaluate/attention/weights.csv")
    project.params["evaluate"]["tsne"]["seed"] = 1
    assert project.repro() == {"evaluate@dummy", "evaluate@attention", "report"}
    assert rows(project, "evaluate/attention/weights.csv") == before


def test_who_asks_for_an_experiment_that_is_not_there_is_told_before_anything_runs(project: Project) -> None:
    params = project.folder / "params.yaml"
    text = params.read_text("utf-8")
    params.write_text(text.replace("- attention", "- atention"), "utf-8")
    done = call(project.folder, "diptych", "evaluate", "dummy")
    params.write_text(text, "utf-8")
    assert done.returncode == 2
    assert "no experiment 'atention' (did you mean 'attention'?)" in done.stderr
