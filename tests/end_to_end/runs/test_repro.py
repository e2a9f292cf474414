"""`dvc repro` for real: what a change reruns, and what it leaves alone; told from DVC's own words."""

from __future__ import annotations

import copy
import csv
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.project import SMALL, call, make_project, write_params


class Project:
    """A project that remembers its params and reruns itself."""

    def __init__(self, folder: Path) -> None:
        self.params: dict[str, Any] = copy.deepcopy(SMALL)
        self.folder = make_project(folder, self.params)
        self.said = ""

    def repro(self, *targets: str) -> set[str]:
        """Run `dvc repro`, of all stages without targets, and return those that it ran."""
        write_params(self.folder, self.params)
        done = call(self.folder, "dvc", "repro", *targets)
        self.said = done.stdout + done.stderr
        assert done.returncode == 0, self.said
        return set(re.findall(r"^Running stage '([^']+)'", done.stdout, re.MULTILINE))

    def leaderboard(self) -> dict[str, dict[str, str]]:
        """Return report/leaderboard.csv by experiment."""
        with (self.folder / "report" / "leaderboard.csv").open(encoding="utf-8") as stream:
            return {row["experiment"]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has run once. The tests of this file change it one after the other."""
    made = Project(tmp_path_factory.mktemp("repro") / "project")
    ran = made.repro()
    assert {"prepare", "split", "embed@caption-hash", "wire@train", "fuse@both", "train@text", "report"} <= ran
    return made


def test_the_run_leaves_a_page_a_leaderboard_and_metrics(project: Project) -> None:
    board = project.leaderboard()
    assert set(board) == {"dummy", "text", "joined"}
    assert float(board["text"]["f1_macro"]) >= 0
    page = (project.folder / "report" / "index.html").read_text("utf-8")
    assert all(words in page for words in ("<html", "dvc repro evaluate@joined", "Where the time went"))
    assert str(project.folder) not in page
    shown = call(project.folder, "dvc", "metrics", "show")
    assert "f1_macro" in shown.stdout


def test_a_second_run_does_nothing(project: Project) -> None:
    assert project.repro() == set()
    assert "up to date" in project.said


def test_another_seed_of_hashes_gives_the_same_bytes(project: Project) -> None:
    verbs = ("split", "fuse", "train", "evaluate", "retrieve")
    for seed, verb in enumerate(verbs):
        done = call(project.folder, "diptych", verb, PYTHONHASHSEED=str(seed + 1))  # cold, see tests.warm
        assert done.returncode == 0, done.stderr
    assert "up to date" in call(project.folder, "dvc", "status").stdout


def test_one_experiment_changed_reruns_it_its_evaluation_and_the_report(project: Project) -> None:
    project.params["train"]["text"]["neighbours"] = 5
    assert project.repro() == {"train@text", "evaluate@text", "report", "wire@train"}


@pytest.mark.slow
def test_an_encoder_added_trains_nothing_again(project: Project) -> None:
    project.params["embed"]["caption-again"] = {"encoder": "hash", "field": "caption", "dtype": "float32"}
    ran = project.repro()
    assert "embed@caption-again" in ran
    assert not [stage for stage in ran if stage.startswith(("train", "evaluate", "fuse", "retrieve"))]


def test_an_encoder_changed_retrains_only_its_users(project: Project) -> None:
    project.params["embed"]["image-colors"]["dtype"] = "float32"
    ran = project.repro()
    assert {"embed@image-colors", "fuse@both", "train@joined", "retrieve@by-image"} <= ran
    assert not ran & {"train@text", "train@dummy", "embed@caption-hash"}


@pytest.mark.slow  # test_fit.py holds the same of frozen encoders
def test_another_split_embeds_nothing(project: Project) -> None:
    project.params["split"]["seed"] = 1
    ran = project.repro()
    assert {"split", "train@text", "evaluate@dummy"} <= ran
    assert not [stage for stage in ran if stage.startswith(("embed", "prepare"))]


@pytest.mark.slow
def test_an_experiment_removed_leaves_the_leaderboard(project: Project) -> None:
    project.params["train"]["gone"] = {"features": ["caption-hash"], "head": "dummy"}
    assert {"train@gone", "report"} <= project.repro()
    assert "gone" in project.leaderboard()
    del project.params["train"]["gone"]
    assert project.repro() - {"wire@train"} == {"report"}
    assert "gone" not in project.leaderboard()


def test_plan_knows_that_a_new_field_needs_prepare(project: Project) -> None:
    table = {"texts": {"title": "t"}, "image": "i", "label": "l"}
    params = {**project.params, "prepare": {"source": "table", "path": "stages", "table": table}}
    params["embed"] = {**params["embed"], "caption-hash": {"encoder": "hash", "field": "title"}}
    params["embed"] = {name: entry for name, entry in params["embed"].items() if name != "caption-again"}
    write_params(project.folder, params)
    done = call(project.folder, "diptych", "plan")
    assert done.returncode == 0, done.stderr
    assert "will be made again" in done.stdout
    assert "?" in done.stdout


def test_one_percent_more_items_embeds_only_those(project: Project) -> None:
    project.params["prepare"]["scenes"]["items"] = 101
    project.repro("embed")
    assert re.search(r"embed image-colors: 100 cached, 1 new", project.said)
    assert re.search(r"embed caption-hash: \d+ cached, [01] new", project.said)


@pytest.mark.slow
def test_a_sweep_by_dvc_reaches_one_parameter(project: Project) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "add", "-A"], cwd=project.folder, check=True, capture_output=True)
    subprocess.run([*git, "commit", "-q", "-m", "run"], cwd=project.folder, check=True, capture_output=True)
    done = call(project.folder, "dvc", "exp", "run", "-S", "train.text.neighbours=7", "--name", "seven")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"^Running stage '([^']+)'", done.stdout, re.MULTILINE)) == {
        "wire@train",
        "train@text",
        "evaluate@text",
        "report",
    }
    shown = call(project.folder, "dvc", "metrics", "diff")
    assert "evaluate/text.json" in shown.stdout.replace("\\", "/")


@pytest.mark.slow
def test_h5_gives_the_same_digests_as_zarr(project: Project) -> None:
    def digests() -> dict[str, str]:
        cards = (project.folder / "metrics" / "embed").glob("*.json")
        return {card.name: re.search(r'"digest": "(\w+)"', card.read_text()).group(1) for card in cards}  # type: ignore[union-attr]

    project.repro()
    before = digests()
    project.params["store"]["format"] = "h5"
    ran = project.repro()
    assert digests() == before
    assert (project.folder / "data" / "embed" / "image-colors.h5").is_file()
    assert not [stage for stage in ran if stage.startswith(("train", "evaluate"))]
