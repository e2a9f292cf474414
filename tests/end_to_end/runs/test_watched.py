"""What DVC watches, in a real project: code that a stage runs, and not pictures outside of `prepare.path`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.project import SMALL, call, make_project
from tests.stages.prepare.sets.coco import write_coco


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose data set is prepared. The tests of this file change it one after the other."""
    prepare = {"source": "coco", "path": "coco/annotations", "root": "coco"}
    folder = make_project(tmp_path_factory.mktemp("watched") / "project", {**SMALL, "prepare": prepare})
    write_coco(folder / "coco")
    said(folder, "dvc", "repro", "prepare")
    return folder


def said(folder: Path, *command: str) -> str:
    done = call(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changed(folder: Path) -> bool:
    """Tell whether DVC would run `prepare`."""
    return bool(json.loads(said(folder, "dvc", "status", "--json", "prepare").splitlines()[-1]))


def unwatched(folder: Path) -> Any:
    return json.loads(said(folder, "diptych", "plan", "--json"))["unwatched"]


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n# edited\n")


def test_running_looking_and_edits_of_other_code_rerun_nothing(project: Path) -> None:
    said(project, "python", "-m", "compileall", "-q", "stages", "store")
    assert list((project / "stages" / "prepare" / "__pycache__").glob("*.pyc"))
    for folder in ("stages/prepare", "coco/annotations"):
        (project / folder / ".DS_Store").write_bytes(b"the place of a window")
    for path in ("store/errors.py", "stages/report/run.py", "store/care/garbage.py", "pipeline/verbs.py"):
        edit(project / path)
    assert not changed(project)


def test_an_edited_picture_is_told_by_plan_and_by_prepare(project: Path) -> None:
    first, second, *_ = sorted((project / "coco" / "val2014").iterdir())
    content = first.read_bytes()
    first.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    second.unlink()
    assert not changed(project), "DVC watches the pictures by now: docs/data-sets.md and `diptych plan` can say less"
    shown = first.relative_to(project).as_posix()
    assert unwatched(project) == {"files": 50, "changed": 2, "removed": 1, "first": shown}
    ran = said(project, "dvc", "repro", "--force", "prepare")
    told = f"where DVC does not watch: 2 of 50 files, 1 of them gone (first: {shown})"
    assert f"prepare: changed since the last time, {told}" in ran
    assert "49 items kept, 1 rejected" in ran, ran
    assert unwatched(project) == {"files": 50, "changed": 0, "removed": 0, "first": ""}


def test_an_edit_of_code_that_prepare_runs_is_seen(project: Path) -> None:
    edit(project / "store" / "files" / "reading.py")  # undeclared once
    assert changed(project)
