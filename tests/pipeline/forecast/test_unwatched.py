"""What `plan` and `prepare` say of files that DVC does not watch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import paths
from pipeline.forecast import watched
from pipeline.forecast.plan import Plan, print_plan
from pipeline.forecast.watched import changed_since_last_time, changed_since_manifest
from pipeline.journal.notices import tell_of_changes
from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.unwatched import Changes
from tests.stages.prepare.sets.coco import write_coco

APART: dict[str, Any] = {"source": "coco", "path": "coco/annotations", "root": "coco"}
WHOLE: dict[str, Any] = {"source": "coco", "path": "coco"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_coco(Path("coco"))


def prepare(asked: dict[str, Any], *, noted: bool = True) -> PrepareParams:
    params = PrepareParams.model_validate({**asked, "max_reject_share": 1.0})
    run(params, PrepareOutputs(paths.PREPARE, unwatched=paths.UNWATCHED if noted else None), SilentProgress())
    return params


def since_manifest(params: PrepareParams) -> Changes | None:
    return changed_since_manifest(params, SilentProgress())


@pytest.mark.usefixtures("project")
def test_without_notes_of_the_manifest_nobody_knows() -> None:
    params = prepare(APART)
    assert since_manifest(params) == Changes(50)
    shutil.move(paths.UNWATCHED, "aside")  # as in a clone that pulled
    assert since_manifest(params) is None
    assert since_manifest(prepare(APART, noted=False)) is None
    shutil.move("aside", paths.UNWATCHED)
    assert since_manifest(params) == Changes(50)


@pytest.mark.usefixtures("project")
def test_where_dvc_watches_the_pictures_there_is_nothing_to_know() -> None:
    assert since_manifest(prepare(WHOLE, noted=False)) == Changes(0)
    assert since_manifest(prepare(WHOLE)) == Changes(0)


@pytest.mark.usefixtures("project")
def test_a_set_without_pictures_has_nothing_to_know() -> None:
    table = {"text": "caption", "label": "kind"}
    Path("t.csv").write_text("caption,kind\nred,a\nblue,b\n")
    asked = {"source": "table", "path": "t.csv", "table": table}
    assert since_manifest(prepare(asked, noted=False)) == Changes(0)
    (paths.PREPARE / "summary.json").write_text("{")
    assert since_manifest(prepare(asked, noted=False)) == Changes(0)


@pytest.mark.usefixtures("project")
def test_another_manifest_finds_its_own_notes() -> None:
    first = prepare(APART)
    manifest = paths.MANIFEST.read_bytes()
    next(Path("coco/val2014").iterdir()).unlink()
    second = prepare(APART)
    assert since_manifest(second) == Changes(50, 0, 0, "")
    paths.MANIFEST.write_bytes(manifest)  # as `git checkout` and `dvc checkout` do
    found = since_manifest(first)
    assert found is not None
    assert (found.changed, found.removed) == (1, 1)


@pytest.mark.usefixtures("project")
def test_prepare_tells_of_what_it_reads_anew(capsys: pytest.CaptureFixture[str]) -> None:
    params = PrepareParams.model_validate(APART)
    tell_of_changes(params, SilentProgress())  # never prepared
    prepare(APART)
    shutil.rmtree(paths.PREPARE)  # as DVC does before a stage runs
    tell_of_changes(params, SilentProgress())
    assert capsys.readouterr().out == ""
    (path, *_) = sorted(Path("coco/train2014").iterdir())
    path.write_bytes(path.read_bytes() + b"more")
    tell_of_changes(params, SilentProgress())
    assert capsys.readouterr().out == (
        "prepare: changed since the last time, where DVC does not watch: 1 of 50 files "
        "(first: coco/train2014/COCO_train2014_000000000009.jpg)\n"
    )
    assert changed_since_last_time(PrepareParams.model_validate(WHOLE), SilentProgress()) == Changes(0)


def printed(capsys: pytest.CaptureFixture[str], found: Changes | None) -> str:
    print_plan(Plan(prepared=True, encoders=[], changed=[], stages=[], unwatched=found))
    return capsys.readouterr().out


def test_plan_says_what_changed_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys, Changes(12_000, 1_500, 3, "coco/[red]\x1b[2J.jpg"))
    assert "Changed since `prepare`, where DVC does not watch: 1,500 of 12,000 files, 3 of them gone (first: " in told
    assert "coco/[red]" in told
    assert "\x1b" not in told
    assert "Run `dvc repro --force prepare`, then `dvc repro`." in told
    assert "DVC finds nothing changed: `dvc repro` would run no stage." in told


def test_plan_says_that_it_cannot_know_and_nothing_where_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys, None)
    assert "whether they changed is not known until `prepare` has run on this machine" in told
    told = printed(capsys, Changes(12_000))
    assert "watch" not in told
    assert "Nothing changed: `dvc repro` would run no stage." in told


def test_json_has_it() -> None:
    plan = Plan(prepared=True, encoders=[], changed=[], stages=[], unwatched=Changes(5, 2, 1, "a.jpg"))
    expected = {"files": 5, "changed": 2, "removed": 1, "first": "a.jpg"}
    assert json.loads(json.dumps(plan.as_dict()))["unwatched"] == expected
    assert watched.told(Changes(5, 2, 0, "a.jpg")) == "2 of 5 files (first: a.jpg)"
