"""`diptych sweep` in a real project: one table with intervals, the same bytes again, and nothing is tried twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.pipeline.project import SMALL, call, make_project

GRID: dict[str, Any] = {
    "features": [["caption-hash", "image-colors"]],
    "fusion": ["concat", "late", "none"],
    "head": ["knn", "dummy"],
    "base": {"seeds": [0, 1]},
    "vary": {"neighbours": [1, 3]},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A trial has no model that could be asked again: what is asked of experiments is not asked of trials.
    asked = {"missing": {"classes": 2}, "weights": True, "tsne": {"experiments": ["text"]}}
    params = {**SMALL, "evaluate": {**SMALL["evaluate"], **asked}}
    folder = make_project(tmp_path_factory.mktemp("sweep") / "project", params)
    for verb in ("prepare", "split", "embed"):
        done = call(folder, "diptych", verb)
        assert done.returncode == 0, done.stderr
    return folder


def write(folder: Path, **grid: Any) -> None:
    (folder / "sweeps").mkdir(exist_ok=True)
    with (folder / "sweeps" / "first.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(grid, stream)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweeps" / "first.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_one_table_of_all_cells_best_first_that_repeats_itself(project: Path) -> None:
    write(project, **GRID)
    done = call(project, "diptych", "sweep", "sweeps/first.yaml")
    assert done.returncode == 0, done.stderr
    table = rows(project)
    assert len(table) == 9
    scored = [row for row in table if not row["refused"]]
    assert len(scored) == 6
    values = [float(row["f1_macro"]) for row in scored]
    assert values == sorted(values, reverse=True)
    assert all(float(row["f1_macro_low"]) <= float(row["f1_macro"]) <= float(row["f1_macro_high"]) for row in scored)
    assert {row["fusion"] for row in table if row["refused"]} == {"none"}
    assert "3 of 9 combinations were refused" in done.stdout
    lineage = json.loads((project / "sweeps" / "first.json").read_text())
    assert set(lineage["matrices"]) == {"caption-hash", "image-colors"}
    before = {path.name: path.read_bytes() for path in (project / "sweeps").iterdir()}
    kept = {path: path.stat().st_mtime_ns for path in (project / ".diptych" / "sweep").glob("*/metrics.json")}
    assert len(kept) == 6
    again = call(project / "sweeps", "diptych", "sweep", "first.yaml")
    assert again.returncode == 0, again.stderr
    assert {path.name: path.read_bytes() for path in (project / "sweeps").iterdir()} == before
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_grid_that_grew_tries_what_is_new(project: Path) -> None:
    write(project, **GRID)
    assert call(project, "diptych", "sweep", "sweeps/first.yaml").returncode == 0
    kept = {path: path.stat().st_mtime_ns for path in (project / ".diptych" / "sweep").glob("*/metrics.json")}
    write(project, **{**GRID, "vary": {"neighbours": [1, 3, 5]}})
    assert call(project, "diptych", "sweep", "sweeps/first.yaml").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len([*(project / ".diptych" / "sweep").glob("*/metrics.json")]) == len(kept) + 2


def test_wrong_grids_exit_2_and_write_nothing(project: Path) -> None:
    for grid, said in (
        ({**GRID, "features": [["caption-hsh"]]}, "did you mean 'caption-hash'"),
        ({**GRID, "fusion": ["none"]}, "expected at least one possible experiment"),
    ):
        write(project, **grid)
        (project / "sweeps" / "first.csv").unlink(missing_ok=True)
        done = call(project, "diptych", "sweep", "sweeps/first.yaml")
        assert done.returncode == 2
        assert said in done.stderr
        assert not (project / "sweeps" / "first.csv").exists()
