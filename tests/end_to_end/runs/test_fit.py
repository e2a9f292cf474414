"""Fitted encoders under `dvc repro`: their artefacts reach `embed` through the wire, and the split reaches them."""

from __future__ import annotations

import copy
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from store import open_matrix
from tests.end_to_end.runs.test_repro import Project
from tests.pipeline.project import call, environment, write_params
from tests.rules.cards import read_card

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one fitted encoder, run once. The tests of this file change it one after the other."""
    made = Project(tmp_path_factory.mktemp("fit") / "project")
    made.params["fit"] = {"words": {"encoder": "w2v", "field": "caption", "vector_size": 16, "epochs": 2}}
    made.params["embed"]["caption-words"] = {"encoder": "w2v", "field": "caption", "fit": "words"}
    made.params["train"] = {
        "text": {"features": ["caption-hash"], "head": "dummy"},
        "by-words": {"features": ["caption-words"], "head": "dummy"},
    }
    made.params["fuse"] = made.params["retrieve"] = {}
    made.params["prepare"]["scenes"]["items"] = 40
    ran = made.repro()
    assert {"fit@words", "wire@embed", "embed@caption-words", "train@by-words", "report"} <= ran
    return made


def test_the_run_leaves_a_card_a_curve_and_vectors(project: Project) -> None:
    card = read_card(project.folder / "metrics/fit/words.json")
    assert (card["encoder"], card["epochs"], card["transductive"]) == ("w2v", 2, False)
    wired = json.loads((project.folder / "data/wire/embed.json").read_text())
    assert wired == {"caption-hash": {}, "caption-words": {"words": card["digest"]}, "image-colors": {}}
    assert len((project.folder / "data/fit/words.history.csv").read_text().splitlines()) == 3
    matrix = open_matrix(project.folder / "data/embed/caption-words.zarr.zip")
    assert matrix.dim == 16
    assert np.abs(matrix.block(0, len(matrix))).sum() > 0
    assert "words.json" in call(project.folder, "dvc", "metrics", "show").stdout
    plots = call(project.folder, "dvc", "plots", "show", "data/fit/words.history.csv", "--json", "-q")
    assert plots.returncode == 0


def test_a_second_run_does_nothing(project: Project) -> None:
    assert project.repro() == set()


@pytest.mark.slow
def test_an_option_changed_fits_and_embeds_that_entry_only(project: Project) -> None:
    project.params["fit"]["words"]["window"] = 3
    ran = project.repro()
    assert {"fit@words", "wire@embed", "embed@caption-words", "train@by-words"} <= ran
    assert not ran & {"embed@caption-hash", "embed@image-colors", "train@text"}


@pytest.mark.slow
def test_another_split_fits_again_and_leaves_frozen_encoders_alone(project: Project) -> None:
    project.params["split"]["seed"] = 1
    ran = project.repro()
    assert {"split", "fit@words", "embed@caption-words"} <= ran
    assert not ran & {"embed@caption-hash", "embed@image-colors"}


@pytest.mark.slow
def test_a_fit_that_comes_out_the_same_embeds_nothing(project: Project) -> None:
    done = call(project.folder, "dvc", "repro", "--force", "--single-item", "fit@words")
    assert done.returncode == 0, done.stderr
    assert project.repro() == set()


def test_plan_does_not_guess_what_a_fit_will_bring(project: Project) -> None:
    project.params["fit"]["words"]["seed"] = 4
    write_params(project.folder, project.params)
    plan = json.loads(call(project.folder, "diptych", "plan", "--json").stdout)
    counts = {row["name"]: row["new"] for row in plan["encoders"]}
    assert (counts["caption-words"], counts["caption-hash"]) == (None, 0)
    assert {"fit@words", "embed@caption-words", "train@by-words"} <= set(plan["stages"])
    assert "embed@caption-hash" not in plan["stages"]
    del project.params["fit"]["words"]["seed"]


def test_another_split_by_hand_is_refused_unless_allowed(project: Project) -> None:
    params = copy.deepcopy(project.params)
    try:
        project.params["split"]["seed"] = 2
        write_params(project.folder, project.params)
        assert call(project.folder, "diptych", "split").returncode == 0
        refused = call(project.folder, "diptych", "embed", "caption-words")
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
        said = refused.stderr.replace("\n", " ")
        assert "dvc repro fit@words" in said
        assert "--allow-split-mismatch" in said
        allowed = call(project.folder, "diptych", "embed", "caption-words", "--allow-split-mismatch")
        assert allowed.returncode == 0, allowed.stderr
        assert call(project.folder, "diptych", "embed", "caption-hash").returncode == 0
    finally:
        project.params = params
        project.repro()


def test_an_encoder_that_is_not_the_one_of_its_card_is_refused(project: Project) -> None:
    card = project.folder / "metrics/fit/words.json"
    good = card.read_text()
    try:
        card.write_text(good.replace(read_card(card)["digest"], "0" * 64))
        done = call(project.folder, "diptych", "embed", "caption-words", "--allow-split-mismatch")
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert "dvc repro --force fit@words" in done.stderr.replace("\n", " ")
    finally:
        card.write_text(good)


@pytest.mark.slow
def test_a_killed_fit_goes_on_and_ends_in_the_same_bytes(project: Project) -> None:
    params = copy.deepcopy(project.params)
    params["fit"]["seen"] = {
        "encoder": "convae", "field": "image", "size": 16, "hidden": 8, "latent": 4, "epochs": 60, "batch": 2,
    }  # fmt: skip
    write_params(project.folder, params)
    often = {"DIPTYCH_COMMIT_SECONDS": "0.001"}
    whole = call(project.folder, "diptych", "fit", "seen", **often)
    assert whole.returncode == 0, whole.stderr
    files = sorted((project.folder / "models/fit/seen").iterdir())
    before = [path.read_bytes() for path in files]
    shutil.rmtree(project.folder / "models/fit/seen")
    running = subprocess.Popen(
        ["diptych", "fit", "seen"], cwd=project.folder, env=environment(**often), stderr=subprocess.DEVNULL
    )
    states = project.folder / ".diptych/fit"
    deadline = time.monotonic() + 120
    while not list(states.glob("seen-*/epoch-*")) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.01)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    assert list(states.glob("seen-*/epoch-*"))
    assert not (project.folder / "models/fit/seen").exists()
    done = call(project.folder, "diptych", "fit", "seen", **often)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in files] == before
    assert not list(states.iterdir())
    write_params(project.folder, project.params)


@pytest.mark.slow
def test_a_clone_without_the_outputs_runs_in_the_right_order(project: Project, tmp_path: Path) -> None:
    for command in (["add", "-A"], ["commit", "-q", "-m", "run"]):
        subprocess.run([*GIT, *command], cwd=project.folder, check=True, capture_output=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(project.folder), str(clone)], check=True, capture_output=True)
    plan = call(clone, "diptych", "plan")
    assert plan.returncode == 0, plan.stderr
    done = call(clone, "dvc", "repro", "embed@caption-words")
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = (folder / "data/embed/caption-words.zarr.zip" for folder in (project.folder, clone))
    assert ours.read_bytes() == theirs.read_bytes()
    shutil.rmtree(clone)
