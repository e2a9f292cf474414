"""The test of missing inputs through `dvc repro`: what it writes, and that it reruns when only its inputs change."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.end_to_end.runs.test_repro import Project
from tests.pipeline.project import call, write_params
from tests.rules.cards import read_card

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has run once, without the test. The tests of this file change it one after the other."""
    made = Project(tmp_path_factory.mktemp("missing") / "project")
    made.params = copy.deepcopy(made.params)
    made.params["prepare"]["scenes"]["silent"] = 0
    made.params["reduce"] = {"small": {"features": "caption-hash", "method": "pca", "components": 8}}
    made.params["train"]["apart"] = {"features": ["small", "image-colors"], "fusion": "concat", "head": "knn"}
    made.repro()
    return made


def metrics(project: Project, name: str) -> dict[str, object]:
    return read_card(project.folder / "metrics" / "evaluate" / f"{name}.json")


def test_asking_for_it_evaluates_again_and_trains_nothing(project: Project) -> None:
    assert "missing" not in metrics(project, "text")
    project.params["evaluate"]["missing"] = {"classes": 3, "seed": 0}
    assert project.repro() == {*(f"evaluate@{name}" for name in ("dummy", "text", "joined", "apart")), "report"}
    assert metrics(project, "apart")["missing"] == "image, caption"
    assert metrics(project, "apart").keys() >= {"missing_caption_f1_macro_delta", "missing_image_f1_macro_delta"}
    assert metrics(project, "dummy")["missing_caption_f1_macro_delta"] == 0
    assert str(metrics(project, "joined")["missing"]).startswith("not possible: both of `fuse`")
    assert "cannot be told" in project.said
    assert 'id="plot-missing"' in (project.folder / "report" / "index.html").read_text("utf-8")
    assert not [column for column in project.leaderboard()["apart"] if column.startswith("missing")]


def test_another_missing_vector_is_seen_where_no_prediction_changed(project: Project) -> None:
    predictions = project.folder / "data" / "train" / "text.parquet"
    before = predictions.read_bytes()
    project.params["embed"]["caption-hash"]["missing"] = "zero"
    ran = project.repro()
    assert predictions.read_bytes() == before  # no caption is missing
    assert {"train@text", "evaluate@text", "evaluate@apart"} <= ran


def test_whoever_lacks_the_models_is_told_what_to_pull_and_needs_none_without_the_test(
    project: Project, tmp_path: Path
) -> None:
    project.params["evaluate"]["missing"] = {"classes": 3, "seed": 0}
    write_params(project.folder, project.params)
    (project.folder / "models" / "train" / "text").rename(tmp_path / "away")
    done = call(project.folder, "diptych", "evaluate", "text")
    assert done.returncode == 2
    assert "expected a trained model at models/train/text/recipe.json" in done.stderr
    assert "dvc pull" in done.stderr
    project.params["evaluate"]["missing"] = None
    write_params(project.folder, project.params)
    assert call(project.folder, "diptych", "evaluate", "text").returncode == 0
