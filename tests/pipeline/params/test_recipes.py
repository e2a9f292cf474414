"""Recipes: every one validates and says what it needs; comments survive; a wrong one writes nothing."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.params.recipes import apply, overlaid, recipe_rows
from pipeline.params.sections import validate_params
from pipeline.params.yaml_file import parse_yaml, read_yaml
from stages.report.read.published import read_published
from store.errors import InputError
from tests.pipeline.project import ROOT

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
PUBLISHED = sorted((ROOT / "recipes" / "published").glob("*.yaml"))
SYSTEMS = {
    "coco": "coco-bert coco-bge coco-resnet152 coco-concat coco-pca coco-attention coco-early coco-late",
    "webvision": (
        "wv-inceptionv3 wv-resnet50v2 wv-mobilenetv2 wv-dnn-use wv-dnn-bert wv-inceptionv3-use wv-inceptionv3-bert "
        "wv-resnet50v2-use wv-resnet50v2-bert wv-mobilenetv2-use wv-mobilenetv2-bert"
    ),
    "fashion": "vse-base vse-cim vse-coot vse-dpm vse-sapool vse-dense",
    "visual_genome": "vse-base vse-cim vse-coot vse-dpm vse-sapool vse-dense",
    "goodreads": (
        "gr-mlp-googlenet gr-mlp-inception gr-mlp-vgg gr-mlp-resnet gr-mf-googlenet gr-mf-inception gr-mf-vgg "
        "gr-mf-resnet gr-cmf-googlenet gr-cmf-inception gr-cmf-vgg gr-cmf-resnet gr-convae-mf gr-mmeda1 gr-mmeda2 "
        "gr-mf-allcnn"
    ),
    "nlvr": "gated-knn gated-svm",  # there nlvr-knn and nlvr-svm
}
"""The ids of docs/systems/evaluation.md#the-published-tables, by recipe."""
SYSTEMS["goodreads-rating"] = SYSTEMS["goodreads"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_gives_valid_params(path: Path) -> None:
    text = overlaid((ROOT / "params.yaml").read_text("utf-8"), read_yaml(path))
    assert validate_params(parse_yaml(text, path), text, path).train


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_says_what_it_needs_and_what_it_costs(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines(keepends=True)
    header = "".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert "# Data: " in header or "needs no data of yours" in header
    assert re.search(rf"# Run: .*diptych recipe {path.stem} && dvc repro", header)
    above = re.search(r"# Disk and time: those of (\w+)\.", header)
    if above:  # laid over another one, which says it
        assert ROOT / "recipes" / f"{above[1]}.yaml" in RECIPES
        return
    assert re.search(r"Disk: .*\d+(\.\d+)? [MGT]B", header)
    assert re.search(r"Time: .*\b(minutes|hours?|weeks)\b", header)
    if "GPU" in header.partition("Time: ")[2]:
        assert "An estimate, not measured" in header
        assert "# Layout: " in header


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_table_and_its_recipe_name_the_same_systems(path: Path) -> None:
    published = read_published(read_yaml(path), str(path))
    recipe = read_yaml(ROOT / "recipes" / path.name)
    assert recipe["report"]["published"] == f"recipes/published/{path.name}"
    entries = {*recipe.get("train", {}), *recipe.get("retrieve", {})} - {"replace"}
    assert set(published.systems) <= set(SYSTEMS[path.stem].split()) <= entries
    assert "dummy" in recipe["train"]


def test_every_system_of_the_papers_is_in_some_published_table() -> None:
    named = {name for path in PUBLISHED for name in read_published(read_yaml(path), str(path)).systems}
    # That one is of the authors' code alone and has no published figures.
    assert named == {name for names in SYSTEMS.values() for name in names.split()} - {"gr-mf-allcnn"}


def test_both_tables_of_goodreads_stand_on_the_same_vectors() -> None:
    fiction, rating = (read_yaml(ROOT / "recipes" / f"{name}.yaml") for name in ("goodreads", "goodreads-rating"))
    for section in ("split", "fit", "embed", "reduce", "fuse"):
        assert fiction[section] == rating[section]
    assert set(fiction["train"]) == set(rating["train"])


def test_the_recipe_of_the_default_changes_nothing_that_counts() -> None:
    text = (ROOT / "params.yaml").read_text("utf-8")
    recipe = ROOT / "recipes" / "scenes.yaml"
    assert parse_yaml(overlaid(text, read_yaml(recipe)), recipe) == parse_yaml(text, recipe)


def test_the_panels_of_paper_1_are_those_of_towers_over_use_and_resnet() -> None:
    content = read_yaml(ROOT / "recipes" / "webvision.yaml")
    (name,) = content["evaluate"]["tsne"]["experiments"]
    entry = content["train"][name]
    assert (entry["fusion"], entry["features"]) == ("towers", ["description-use", "title-use", "image-resnet50v2"])
    assert content["evaluate"]["tsne"] == {
        "experiments": [name], "classes": 10, "per_class": 200, "perplexity": 30, "seed": 0
    }  # fmt: skip


@pytest.mark.parametrize("name", ["all-fusions", "tuxpaint", "scenes", "coco"])
def test_recipes_with_fusions_that_weigh_inputs_tell_the_weights(name: str) -> None:
    assert read_yaml(ROOT / "recipes" / f"{name}.yaml")["evaluate"]["weights"] is True


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


def test_a_recipe_whose_data_are_not_there_yet_says_where_to_read_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _project(tmp_path, monkeypatch)
    (folder / "recipes" / "set.yaml").write_text("# A set.\nprepare: {source: coco, path: there/annotations}\n")
    apply("set", write=False)
    assert "there/annotations is not there yet: the head of recipes/set.yaml says" in _said(capsys)
    (folder / "there" / "annotations").mkdir(parents=True)
    apply("set", write=True)
    assert "not there yet" not in _said(capsys)


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_recipe_that_gives_wrong_params_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _project(tmp_path, monkeypatch)
    (folder / "recipes" / "bad.yaml").write_text("# Bad.\nsplit: {tset: 0.1}\n")
    before = paths.PARAMS_FILE.read_text()
    with pytest.raises(InputError, match=r"did you mean .test.(.|\n)*git checkout params.yaml"):
        apply("bad", write=True)
    with pytest.raises(InputError, match="did you mean 'bad'"):
        apply("bda", write=True)
    assert paths.PARAMS_FILE.read_text() == before
