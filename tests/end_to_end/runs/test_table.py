"""Bring your own table: real drawings with captions through `dvc repro`, and each wrong input at the command line."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.end_to_end.runs.test_repro import Project
from tests.pipeline.project import ROOT, SMALL, call, make_project

TUXPAINT = Path(os.environ.get("DIPTYCH_TEST_DATA", ROOT.parent / "shared" / "data")) / "tuxpaint"
COLUMNS = {"id": "id", "image": "image", "text": "caption", "label": "kind"}


def _params(**table: Any) -> dict[str, Any]:
    prepare = {"source": "table", "path": "posts/posts.csv", "table": {**COLUMNS, **table}}
    return {**SMALL, "prepare": prepare, "retrieve": {}}


def _table(folder: Path, rows: list[list[str]], header: tuple[str, ...] = ("id", "image", "caption", "kind")) -> None:
    posts = folder / "posts"
    posts.mkdir(exist_ok=True)
    for number, color in enumerate(("red", "green", "blue", "white")):
        Image.new("RGB", (20, 20), color).save(posts / f"{number}.png")
    (posts / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with (posts / "posts.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([list(header), *rows])


def _rows(count: int = 40) -> list[list[str]]:
    return [[f"p{n}", f"{n % 4}.png", f"a {n % 4} thing number {n}", ["warm", "cold"][n % 2]] for n in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("table") / "project", _params())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.append(list(rows[0])), ["posts.csv:42", "p0", "duplicate"]),
        (lambda rows: rows.clear(), ["posts.csv", "empty"]),
        (lambda rows: [row.__setitem__(1, "gone.png") for row in rows[:9]], ["posts.csv:2", "max_reject_share"]),
        (lambda rows: [row.__setitem__(1, "broken.png") for row in rows[:9]], ["posts.csv:2", "max_reject_share"]),
        (lambda rows: [row.__setitem__(1, "../../secret.png") for row in rows[:9]], ["posts.csv:2"]),
    ],
    ids=["duplicate id", "empty", "missing pictures", "unreadable pictures", "paths outside"],
)
def test_wrong_rows_stop_the_run_before_anything_is_written(folder: Path, change: Any, said: list[str]) -> None:
    rows = _rows()
    change(rows)
    _table(folder, rows)
    done = call(folder, "diptych", "prepare")
    assert done.returncode == 2, done.stderr
    for word in said:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "data").exists() or not any((folder / "data").iterdir())


def test_a_missing_column_is_named_with_the_nearest(folder: Path) -> None:
    _table(folder, _rows(), header=("id", "image", "captoin", "kind"))
    done = call(folder, "diptych", "prepare")
    assert done.returncode == 2
    assert "'caption'" in done.stderr
    assert "captoin" in done.stderr


def test_an_unknown_label_is_named_with_the_nearest(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", _params(classes=["warm", "cold"]))
    rows = _rows()
    rows[3][3] = "colld"
    _table(folder, rows)
    done = call(folder, "diptych", "prepare")
    assert done.returncode == 2
    assert "posts.csv:5" in done.stderr
    assert "cold" in done.stderr


def test_a_dry_run_needs_the_section_prepare_alone_and_writes_no_output(tmp_path: Path) -> None:
    params = _params()
    params["prepare"]["table"] = {"id": "id", "image": "image", "texts": {"title": "caption"}, "label": "kind"}
    folder = make_project(tmp_path / "project", params)
    _table(folder, _rows())
    done = call(folder, "diptych", "prepare", "--dry-run", "--rows", "30")
    assert done.returncode == 0, done.stderr
    assert "30 read, 30 kept, 0 rejected" in done.stdout
    assert "no field 'caption'" in done.stdout  # the section embed, told last
    assert (folder / ".diptych/preview/contact-sheet.html").is_file()
    assert not (folder / "data").exists()
    status = subprocess.run(["git", "status", "--short"], cwd=folder, capture_output=True, text=True, check=True)
    assert status.stdout.split() == ["??", "posts/"]


@pytest.mark.slow
def test_single_bad_rows_are_counted_and_the_run_goes_on_to_the_page(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.params = {**_params(), "evaluate": {"threshold": 0.5}}
    project.params["train"] = {"text": {"features": ["caption-hash"], "head": "knn", "neighbours": 3}}
    project.params["fuse"] = {}
    rows = _rows(60)
    rows[5][1], rows[7][2], rows[9][3] = "gone.png", "  ", ""
    _table(project.folder, rows)
    project.repro()
    assert "59 items kept, 1 rejected of 60" in project.said
    with (project.folder / "data" / "prepare" / "rejects.csv").open(encoding="utf-8") as stream:
        (reject,) = csv.DictReader(stream)
    assert reject["id"] == "p5"
    assert reject["where"].endswith("posts.csv:7")
    assert "accuracy" in project.leaderboard()["text"]


@pytest.mark.slow
@pytest.mark.skipif(not TUXPAINT.is_dir(), reason=f"the tuxpaint data is not at {TUXPAINT}")
def test_tuxpaint_by_params_alone(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shutil.copy(ROOT / "params.yaml", project.folder / "params.yaml")
    done = call(project.folder, "diptych", "recipe", "tuxpaint")
    assert done.returncode == 0, done.stderr
    text = (project.folder / "params.yaml").read_text("utf-8")
    (project.folder / "params.yaml").write_text(text.replace("../shared/data/tuxpaint", str(TUXPAINT)))
    done = call(project.folder, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    board = {name: float(row["accuracy"]) for name, row in project.leaderboard().items()}
    single = max(board[name] for name in ("text-minilm", "text-use", "image"))
    assert board["dummy"] < 0.35
    assert single > 0.78
    assert max(board[name] for name in ("pca", "late", "attention", "concat")) > single
