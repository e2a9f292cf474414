"""What docs/operations.md says is so: keys, events, codes, folders, settings; and its commands run."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.journal.recorded import entry, recorded
from pipeline.journal.status import EntryState, Status, StoreState
from pipeline.journal.times import Spent
from pipeline.machine.settings import Settings, load_settings
from store.errors import InputError, RunError
from tests.end_to_end.members import WHO
from tests.pipeline.project import ROOT, SMALL, call, make_project

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def _section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _first_cells(section: str) -> set[str]:
    cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_its_settings_are_valid(tmp_path: Path) -> None:
    (block,) = _blocks("toml")
    (tmp_path / "local.toml").write_text(block)
    assert load_settings(tmp_path / "local.toml", {}).log_json == "/var/log/films.jsonl"
    named = {name.lower() for name in re.findall(r"DIPTYCH_([A-Z_]+)", PAGE)}
    assert {"log_json", "preflight"} <= named <= set(Settings.model_fields)


def test_its_tables_name_every_key_of_status_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = _section("Is all well?")
    assert _first_cells(status) == {"--json"} | {each.name for each in fields(Status)} - {"root"}
    inner = {each.name for each in (*fields(StoreState), *fields(EntryState))} - {"verb", "name"}
    assert inner <= set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\|.*", status, re.MULTILINE))))
    for name in (paths.PARAMS_FILE, paths.DVC_FILE):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIPTYCH_LOG_JSON", "asked.jsonl")
    with recorded("train") as recorder, entry(recorder, "x", Spent()):
        logging.getLogger("diptych.room").warning("little room")
    for error in (RunError("failed"), KeyboardInterrupt()):
        with pytest.raises(type(error)), recorded("train") as recorder, entry(recorder, "x", Spent()):
            raise error
    found = [json.loads(line) for line in Path("asked.jsonl").read_text().splitlines()]
    told = _first_cells(_section("The log"))
    assert {key for line in found for key in line} <= told
    assert {line["event"] for line in found} == {"open", "start", "warning", "done", "failed", "stopped"} <= told
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", _section("The log"), re.MULTILINE))
    for line in found:
        assert set(line["fields"]) <= set(re.findall(r"`(\w+)`", rows[line["event"]])), line


def test_its_table_of_folders_is_whole() -> None:
    told = {name.rstrip("/") for name in _first_cells(_section("What lies where"))}
    settings = [str(value) for value in Settings().model_dump().values()]
    known = [str(value) for value in vars(paths).values() if isinstance(value, Path)]
    used = {Path(value).parts[1] for value in (*settings, *known) if value.startswith(".diptych/")}
    assert used == told


def test_its_codes_are_those_of_the_errors() -> None:
    codes = dict(re.findall(r"^\| ([\d, ]+) \| (.*?) \|", _section("Exit codes"), re.MULTILINE))
    assert list(codes) == ["0", "1", "2", "130", "143, 129"]
    assert codes[str(RunError.exit_code)].startswith("the run failed")
    assert codes[str(InputError.exit_code)].startswith("wrong input")


@pytest.mark.slow
def test_its_commands_run(tmp_path: Path) -> None:
    params = {
        **SMALL,
        "embed": {**SMALL["embed"], "caption-minilm": {"encoder": "hash", "field": "caption", "dtype": "float32"}},
    }
    project = make_project(tmp_path / "project", params)
    assert call(project, "dvc", "repro", "split").returncode == 0
    for block in _blocks("console"):
        script = "set -e\n" + block.replace("/var/log", str(tmp_path))
        done = call(project, "bash", "-c", script, **WHO)
        assert done.returncode == 0, done.stdout + done.stderr
    assert [json.loads(line)["event"] for line in (tmp_path / "films.jsonl").read_text().splitlines()][-1] == "done"
    assert not (project / ".diptych/logs").exists()
