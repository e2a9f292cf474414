"""A recipe cut down to a small data set: the same entries and architectures, with random weights and two epochs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.params.recipes import overlaid
from pipeline.params.yaml_file import parse_yaml, read_yaml
from stages.fit.catalog import FITTERS
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.fusions.catalog import FUSIONS
from stages.train.params import option_names
from tests.pipeline.project import ROOT
from tests.stages.prepare.sets.coco import write_coco
from tests.stages.prepare.sets.goodreads import write_goodreads
from tests.stages.prepare.sets.mmfrb import write_mmfrb
from tests.stages.prepare.sets.nlvr import write_nlvr
from tests.stages.prepare.sets.visual_genome import write_visual_genome
from tests.stages.prepare.sets.webvision import write_webvision

SET = "set"
"""Where a project has its data set, in place of the folder outside the clone that the recipe names."""
SIDE = 96
"""Pixels of a side of what the networks read: all of them take it, and it is a tenth of the work of 300."""
WRITERS: dict[str, Callable[[Path], object]] = {
    "coco": write_coco,
    "webvision": write_webvision,
    "goodreads": write_goodreads,
    "nlvr": write_nlvr,
    "visual_genome": write_visual_genome,
    "mmfrb": write_mmfrb,
}
RECIPES = sorted(path.stem for path in (ROOT / "recipes" / "published").glob("*.yaml"))
_MODELS = ("model", "image_model", "words_model")
_REVISIONS = ("revision", "image_revision", "words_revision")


def recipe_params(name: str) -> dict[str, Any]:
    """Return the params that a recipe gives when it is laid over those of the clone."""
    path = ROOT / "recipes" / f"{name}.yaml"
    return parse_yaml(overlaid((ROOT / "params.yaml").read_text("utf-8"), read_yaml(path)), path)


def small_params(name: str) -> dict[str, Any]:
    """Return the params of a recipe for the small data set in `set`: every entry of it, nothing of its size."""
    params = copy.deepcopy(recipe_params(name))
    prepare, split = params["prepare"], params["split"]
    home = Path(prepare.get("root", prepare["path"]))
    prepare["path"] = str(SET / Path(prepare["path"]).relative_to(home))
    prepare |= {"root": SET} if "root" in prepare else {}
    if "first" in split:
        split["first"] = 64
    for section in (prepare.get("coco", {}), prepare.get("visual_genome", {})):
        for cut in {"subsets", "subset"} & set(section):
            del section[cut]
    if params["evaluate"].get("missing"):
        params["evaluate"]["missing"]["classes"] = 2
    _cut(params)
    return params


def _cut(params: dict[str, Any]) -> None:
    for entry in params["fit"].values():
        _randomise(entry, set(FITTERS[entry["encoder"]].options.model_fields))
    for entry in params["embed"].values():
        row = ENCODERS[entry["encoder"]]
        _randomise(entry, set(row.options))
    for entry in params["fuse"].values():
        _shorten(entry, set(FUSIONS[entry["fusion"]].options.model_fields))
    for entry in params["train"].values():
        _shorten(entry, option_names(entry.get("fusion", "none"), entry["head"]))
        entry["seeds"] = [0]
        if entry.get("replica"):
            entry["epochs"] = 1  # of 499 or 999 draws, however few the rows


def _randomise(entry: dict[str, Any], options: set[str]) -> None:
    """Draw the weights in place of fetching them, and read small pictures."""
    for option in _REVISIONS:
        entry.pop(option, None)
    for option in options & set(_MODELS):
        entry[option] = "random"
    if "size" in options:
        entry["size"] = 32 if entry["encoder"] in ("pixels", "convae") else SIDE
    _shorten(entry, options)


def _shorten(entry: dict[str, Any], options: set[str]) -> None:
    entry |= dict.fromkeys(options & {"epochs", "vse_epochs", "fusion_epochs"}, 2)
