"""Every recipe of a published table from its data set to the report, on small data and random weights."""

from __future__ import annotations

import csv
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.sections import VERBS
from pipeline.params.yaml_file import read_yaml
from pipeline.verbs import run_verb
from tests.end_to_end.runs.recipe_case import RECIPES, SET, WRITERS, small_params
from tests.pipeline.project import environment, make_project
from tests.rules.cards import read_card
from tests.stages.fit.tiny import tiny_bert


def project_of(folder: Path, params: dict[str, Any]) -> Path:
    project = make_project(folder / "project", params)
    WRITERS[params["prepare"]["source"]](project / SET)
    return project


def check(project: Path, params: dict[str, Any]) -> None:
    """Every experiment is scored, every published system is listed with what was measured, every figure is a number."""
    with (project / "report/leaderboard.csv").open(encoding="utf-8") as stream:
        assert {row["experiment"] for row in csv.DictReader(stream)} == set(params["train"])
    published = read_yaml(project / params["report"]["published"])
    text = (project / "report/compare.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    measured = {row[0] for row in rows if len(row) > 4 and row[4]}
    assert set(published["systems"]) <= measured
    for name in params["train"]:
        card = read_card(project / f"metrics/evaluate/{name}.json")
        main = "mse" if card["task"] == "regression" else "f1_macro"
        assert math.isfinite(card[main]), name


def test_the_recipe_of_fashion_runs_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = small_params("fashion")
    # Of the largest network two layers, and no other to see the pictures: the whole ones are among the slow.
    params["fit"]["pair"] |= {"model": str(tiny_bert(tmp_path / "bert")), "image_encoder": "colorhist"}
    del params["fit"]["pair"]["image_model"]
    project = project_of(tmp_path, params)
    for name in [name for name in os.environ if name.startswith("DIPTYCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DIPTYCH_ENGINE", "torch")
    monkeypatch.chdir(project)
    for verb in VERBS:
        run_verb(verb, None)
    check(project, params)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_to_the_report(tmp_path: Path, name: str) -> None:
    params = small_params(name)
    project = project_of(tmp_path, params)
    done = subprocess.run(
        ["dvc", "repro"],
        cwd=project,
        env=environment(DIPTYCH_ENGINE="torch"),  # the other one compiles each network first, for a few rows
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    check(project, params)
