"""`dvc exp run --temp` and `--queue` run in a copy without local.toml: the machine's settings reach it all the same."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.journal.run_log import RunLog
from pipeline.machine import doctor
from pipeline.machine.settings import load_settings
from pipeline.paths import original_of, told_of_copy
from store import FeatureStore
from tests.pipeline.project import SMALL, call, make_project, warm


def a_copy(home: Path, inside: str = "") -> Path:
    """Lay out a project and DVC's copy of it, both `inside` their repositories, and return the root of the copy."""
    there = home / inside / ".dvc/tmp/exps/standalone/tmp1" / inside
    (there / ".dvc").mkdir(parents=True)
    return there


@pytest.mark.parametrize("inside", ["", "films"])
def test_a_copy_is_told_from_a_project(tmp_path: Path, inside: str) -> None:
    there = a_copy(tmp_path, inside)
    assert original_of(there, {}) == tmp_path / inside
    assert original_of(there / "sub", {}) == tmp_path / inside / "sub"  # a project below the root of the DVC repository
    assert original_of(tmp_path / inside, {"DVC_ROOT": str(tmp_path / inside)}) is None
    assert told_of_copy(tmp_path / inside, {}) == ""


def test_dvc_root_tells_where_the_copies_are_a_link(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "scratch"
    (home / ".dvc/tmp").mkdir(parents=True)
    (elsewhere / "tmp1/.dvc").mkdir(parents=True)
    (home / ".dvc/tmp/exps").symlink_to(elsewhere)
    assert original_of(elsewhere / "tmp1", {"DVC_ROOT": str(home)}) == home
    other = tmp_path / "other"  # a project that an experiment of another one starts
    (other / ".dvc").mkdir(parents=True)
    assert original_of(other, {"DVC_ROOT": str(home)}) is None


def test_the_settings_of_a_copy_are_those_of_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = a_copy(tmp_path)
    monkeypatch.chdir(there)
    given = load_settings(Path("local.toml"), {})
    assert (given.store, given.allowed_signers) == (str(tmp_path / ".diptych/store"), None)
    (tmp_path / "local.toml").write_text('store = "../team"\ndevice = "cpu"\nworkers = 3\nsigning_key = "/keys/me"\n')
    (tmp_path / "allowed_signers").touch()
    given = load_settings(Path("local.toml"), {"DIPTYCH_LOG_JSON": "runs.jsonl"})
    assert (given.device, given.workers, given.signing_key) == ("cpu", 3, "/keys/me")
    assert (given.store, given.log_json) == (str(tmp_path / "../team"), str(tmp_path / "runs.jsonl"))
    kept = (given.cache, given.spill, given.failed, given.allowed_signers)
    names = (".diptych/cache", ".diptych/spill", ".diptych/failed", "allowed_signers")
    assert kept == tuple(str(tmp_path / name) for name in names)
    roots = load_settings(Path("local.toml"), {"A": "/a", "DIPTYCH_TRUSTED_ROOTS": "$A/cache:posts"}).trusted_roots
    assert roots == ("/a/cache", str(tmp_path / "posts"))
    assert load_settings(Path("local.toml"), {"DIPTYCH_STORE": "s3://bucket/store"}).store == "s3://bucket/store"
    (tmp_path / "local.toml").write_text("workers = 0\n")
    with pytest.raises(cli.DiptychError, match=str(tmp_path / "local.toml")):
        load_settings(Path("local.toml"), {})


def test_an_error_in_a_copy_says_what_a_copy_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = a_copy(tmp_path)
    monkeypatch.chdir(there)
    monkeypatch.setattr("sys.argv", ["diptych", "split"])
    with pytest.raises(SystemExit):
        cli.main()
    assert f"a copy of {tmp_path}" in (said := capsys.readouterr().err)
    assert "--copy-paths" in said


def test_doctor_tells_of_data_that_a_copy_would_not_find(tmp_path: Path) -> None:
    (told,) = doctor._experiments("../posts", tmp_path)
    assert "`dvc exp run --temp` and `--queue` do not find ../posts" in told.found
    assert told.good
    assert not [*doctor._experiments("posts", tmp_path), *doctor._experiments("/data/posts", tmp_path)]


@pytest.mark.slow
def test_experiments_in_copies_read_and_feed_the_store_of_the_team(tmp_path: Path) -> None:
    params = copy.deepcopy(SMALL)
    params["prepare"]["scenes"]["items"] = 40
    project = make_project(tmp_path / "films", params)
    for name in ("user.name", "user.email"):
        call(project, "git", "config", name, "t@example.org")
    (project / "local.toml").write_text('store = "../team"\ndevice = "cpu"\nlog_json = "all.jsonl"\n')
    experiment(project, "--temp", "embed@image-colors")
    experiment(project, "--queue", "-S", "prepare.scenes.items=41", "embed@image-colors")
    experiment(project, "--run-all")
    done = [
        line for line in RunLog(project / "all.jsonl").lines() if (line["verb"], line["event"]) == ("embed", "done")
    ]
    counts = [(line["fields"]["counts"]["cached"], line["fields"]["counts"]["new"]) for line in done]
    assert counts == [(0, 40), (40, 1)]
    assert len(FeatureStore(tmp_path / "team").logs()) == 1
    assert not (project / ".diptych/store").exists()

    (project / "posts.yaml").write_bytes((project / params["prepare"]["path"]).read_bytes())  # git knows nothing of it
    said = experiment(project, "--temp", "-S", "prepare.path=posts.yaml", "prepare", code=255)
    assert "No such file or directory" in said
    experiment(project, "--temp", "--copy-paths", "posts.yaml", "-S", "prepare.path=posts.yaml", "prepare")


def experiment(project: Path, *options: str, code: int = 0) -> str:
    """Give `dvc exp run` these options and return what it said: in a file, which a worker may keep open."""
    said = project.parent / "said.txt"
    with said.open("w", encoding="utf-8") as stream:
        command = [sys.executable, "-m", "dvc", "exp", "run", *options]
        done = subprocess.run(command, cwd=project, env=warm(), stdout=stream, stderr=stream, timeout=300, check=False)
    text = said.read_text("utf-8")
    assert done.returncode == code, text
    return text
