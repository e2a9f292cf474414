"""What the report is told of the machine: settings, versions, the commit, the store, and how long things took."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.journal.report_inputs import asked_settings, commit, provenance, report_inputs, times, versions
from pipeline.journal.times import read_phases, read_seconds, time_file, write_time
from pipeline.machine.settings import load_settings
from pipeline.params.sections import Params, load_params
from store.files.outputs import write_json

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "params.yaml")


def git(folder: Path, *command: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


def test_files_of_removed_entries_are_named_and_nothing_else(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (
        "metrics/evaluate/late.json",
        "data/evaluate/late/x.csv",
        "data/train/late.history.csv",
        "data/train/.x",
    ):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    settings = load_settings(tmp_path / "local.toml", {})
    report_inputs(params, settings)
    assert not caplog.records
    for path in ("metrics/evaluate/gone.json", "data/train/gone.parquet"):
        Path(path).touch()
    report_inputs(params, settings)
    assert "metrics/evaluate/gone.json, data/train/gone.parquet; remove them" in caplog.text


def test_times_are_kept_per_entry_and_read_in_the_order_of_a_run(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert times(params) == []
    for verb, name in (("evaluate", "late"), ("embed", "caption-use"), ("prepare", ""), ("embed", "gone")):
        write_time(verb, name, 1.23456)
    write_json(paths.RUNS / "embed-caption-use.json", {"seconds": {"infer": 1.0, "read": 0.5}, "rate": 3})
    found = times(params)
    assert [(each.verb, each.name, each.seconds) for each in found] == [
        ("prepare", "", 1.235), ("embed", "caption-use", 1.235), ("evaluate", "late", 1.235),
    ]  # fmt: skip
    assert found[1].phases == {"infer": 1.0, "read": 0.5}
    assert found[2].phases == {}


@pytest.mark.parametrize("content", ["", "[]", '{"seconds": "long"}', "{"])
def test_a_file_of_times_that_is_no_good_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_time("embed", "x", 2.0)
    assert read_seconds("embed", "x") == 2.0
    time_file("embed", "x").write_text(content)
    (paths.RUNS / "embed-x.json").write_text(content)
    assert read_seconds("embed", "x") is None
    assert read_phases("x") == {}


def test_the_commit_and_whether_code_or_parameters_differ_from_it(tmp_path: Path) -> None:
    assert commit(tmp_path) == ("", False)
    git(tmp_path, "init", "-q")
    assert commit(tmp_path) == ("", False)
    for name in ("params.yaml", "metrics.json"):
        (tmp_path / name).write_text("a")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "start")
    head, changed = commit(tmp_path)
    assert len(head) == 40
    assert not changed
    (tmp_path / "metrics.json").write_text("b")  # what a run writes is no change of what made it
    assert commit(tmp_path) == (head, False)
    (tmp_path / "params.yaml").write_text("b")
    assert commit(tmp_path) == (head, True)


def test_versions_are_those_that_are_installed() -> None:
    found = versions()
    assert found["python"].startswith("3.")
    assert found["numpy"][0].isdigit()


def test_a_store_that_cannot_be_read_fails_nothing_and_names_no_place(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert provenance(params, load_settings(paths.LOCAL_FILE, {})).store == []
    (tmp_path / "store").write_text("a file, and no folder")
    found = provenance(params, load_settings(paths.LOCAL_FILE, {"DIPTYCH_STORE": str(tmp_path / "store")}))
    assert (found.store, found.unreachable) == (None, "UnsupportedStore")


def test_every_entry_comes_with_what_was_asked_and_what_holds_by_default(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = report_inputs(params, load_settings(paths.LOCAL_FILE, {}))
    assert set(inputs.entries["evaluate"]) == set(params.train)
    assert inputs.asked["split"][""]["seed"] == 0
    assert inputs.asked["train"]["late"]["weights"] == "dev"
    assert "batch" not in inputs.asked["train"]["late"]
    assert inputs.defaults["train"]["late"]["batch"] > 0
    assert inputs.asked["train"]["text-svm"]["seeds"] == [0]
    assert list(asked_settings(params)) == [*inputs.asked]
