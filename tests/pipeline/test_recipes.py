"""Recipes: every one validates, comments survive, nothing is written when the result is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import paths
from pipeline.params import validate_params
from pipeline.recipes import apply, overlaid, recipe_rows
from pipeline.yaml_file import parse_yaml, read_yaml
from stages.errors import InputError
from tests.pipeline.project import ROOT

RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_gives_valid_params(path: Path) -> None:
    text = overlaid((ROOT / "params.yaml").read_text("utf-8"), read_yaml(path))
    assert validate_params(parse_yaml(text, path), text, path).train


def test_the_recipe_of_the_default_changes_nothing_that_counts() -> None:
    text = (ROOT / "params.yaml").read_text("utf-8")
    recipe = ROOT / "recipes" / "scenes.yaml"
    assert parse_yaml(overlaid(text, read_yaml(recipe)), recipe) == parse_yaml(text, recipe)


def test_overlay_rules() -> None:
    text = "a:  # why a\n  x: 1\n  y: 2\nb: {k: 1}\nn: null\n"
    after = overlaid(text, {"a": {"x": None, "z": [1]}, "b": {"replace": True, "m": 2}})
    assert "# why a" in after
    assert parse_yaml(after, Path("p")) == {"a": {"y": 2, "z": [1]}, "b": {"m": 2}, "n": None}
    assert "n: null" in after


def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text("utf-8"))
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_writes_nothing_and_apply_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _project(tmp_path, monkeypatch)
    (folder / "recipes" / "short.yaml").write_text("# A short one.\nprepare: {scenes: {items: 7}}\n")
    assert recipe_rows() == [{"name": "short", "description": "A short one."}]
    before = paths.PARAMS_FILE.read_text()
    apply("short", write=False)
    assert paths.PARAMS_FILE.read_text() == before
    apply("short", write=True)
    assert read_yaml(paths.PARAMS_FILE)["prepare"]["scenes"]["items"] == 7


def test_a_recipe_that_gives_wrong_params_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _project(tmp_path, monkeypatch)
    (folder / "recipes" / "bad.yaml").write_text("# Bad.\nsplit: {tset: 0.1}\n")
    before = paths.PARAMS_FILE.read_text()
    with pytest.raises(InputError, match="did you mean 'test'"):
        apply("bad", write=True)
    with pytest.raises(InputError, match="did you mean 'bad'"):
        apply("bda", write=True)
    assert paths.PARAMS_FILE.read_text() == before
