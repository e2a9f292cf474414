"""Exit codes by kind: 0 done, 1 a run that failed, 2 wrong input; each said in one line and written into the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.project import SMALL, call, make_project, write_params


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been prepared."""
    folder = make_project(tmp_path_factory.mktemp("codes") / "project")
    assert call(folder, "diptych", "prepare").returncode == 0
    return folder


def _wrong_params(folder: Path) -> None:
    write_params(folder, {**SMALL, "split": {"tset": 1}})


def _store_is_a_file(folder: Path) -> None:
    (folder / "local.toml").write_text('store = "params.yaml"')


def _too_little_room(folder: Path) -> None:
    write_params(folder, {**SMALL, "prepare": {**SMALL["prepare"], "scenes": {"items": 10**9, "size": 4096}}})


def _output_is_in_the_way(folder: Path) -> None:
    (folder / "data/split").write_text("a file where the folder should be")


@pytest.mark.parametrize(
    ("spoil", "command", "code", "kind"),
    [
        (None, ["split"], 0, ""),
        (_wrong_params, ["split"], 2, "InputError"),
        (None, ["embed", "nothing"], 2, "InputError"),
        (_store_is_a_file, ["embed", "caption-hash"], 2, "UnsupportedStore"),
        (_too_little_room, ["prepare"], 1, "RunError"),
        (_output_is_in_the_way, ["split"], 1, "FileExistsError"),
    ],
)
def test_each_kind(
    project: Path, tmp_path: Path, spoil: Callable[[Path], None] | None, command: list[str], code: int, kind: str
) -> None:
    folder = tmp_path / "copy"
    _copy(project, folder)
    if spoil is not None:
        spoil(folder)
    done = call(folder, "diptych", "--log-json", "asked.jsonl", *command)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert ("error" in done.stderr) == bool(code)
    own, asked = (_last(folder / name) for name in (".diptych/logs/runs.jsonl", "asked.jsonl"))
    assert {**own, "ts": ""} == {**asked, "ts": ""}
    assert own["event"] == ("failed" if code else "done")
    if code:
        assert (own["fields"]["exit_code"], own["fields"]["kind"]) == (code, kind)
        assert own["level"] == "error"


def _copy(project: Path, folder: Path) -> None:
    """Take what the verbs read and leave the code: `diptych` is installed."""
    for name in ("params.yaml", "dvc.yaml", "data/prepare/manifest.parquet", "stages/prepare/sources/scenes.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((project / name).read_bytes())


def _last(path: Path) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(path.read_text("utf-8").splitlines()[-1])
    return line


def test_a_stage_under_dvc_is_written_down_too(project: Path) -> None:
    (project / "local.toml").write_text('log_json = "runs/all.jsonl"')
    done = call(project, "dvc", "repro", "--single-item", "split")
    assert done.returncode == 0, done.stderr
    line = _last(project / "runs/all.jsonl")
    assert (line["verb"], line["event"]) == ("split", "done")
    assert sum(line["fields"]["counts"][part] for part in ("train", "dev", "test")) == 100
