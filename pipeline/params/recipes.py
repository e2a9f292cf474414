"""Recipes: overlays on params.yaml, one file per table or data set; shown as a diff, validated, then written."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.journal.console import out
from pipeline.params.sections import validate_params
from pipeline.params.yaml_file import parse_yaml, read_text
from stages.models.catalog import did_you_mean
from store.errors import InputError
from store.files.outputs import write_text

_FRESH = "It is meant for params.yaml as it came, unless its head says otherwise: `git checkout params.yaml` goes back."


def recipe_rows() -> list[dict[str, Any]]:
    """Return the name and the first comment line of every recipe."""
    rows = []
    for path in sorted(paths.RECIPES.glob("*.yaml")):
        first = read_text(path).partition("\n")[0]
        rows.append({"name": path.stem, "description": first.lstrip("# ").strip()})
    return rows


def apply(name: str, *, write: bool) -> None:
    """Lay a recipe over params.yaml.

    Raises
    ------
    InputError
        When there is no such recipe, or what it gives is not valid; nothing is written then.
    """
    path = paths.RECIPES / f"{name}.yaml"
    known = [row["name"] for row in recipe_rows()]
    if name not in known:
        raise InputError(f"recipe: expected one of {known}; found {name!r}{did_you_mean(name, known)}.")
    before = read_text(paths.PARAMS_FILE)
    after = overlaid(before, parse_yaml(read_text(path), path))
    try:
        params = validate_params(parse_yaml(after, paths.PARAMS_FILE), after, paths.PARAMS_FILE)
    except InputError as error:
        raise InputError(f"recipe: {path} over this params.yaml gives what no run takes: {error}\n{_FRESH}") from None
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "params.yaml", str(path), lineterm="")
    out.print("\n".join(lines) or "params.yaml has all of this recipe already", markup=False)
    if write:
        write_text(paths.PARAMS_FILE, after)
        out.print(f"params.yaml now holds the recipe {name}; `git diff params.yaml` shows it, `dvc repro` runs it")
    if not Path(params.prepare.path).exists():
        where = f"the head of {path} says where the data come from and how they are laid out"
        out.print(f"{params.prepare.path} is not there yet: {where}", markup=False)


def overlaid(text: str, overlay: Mapping[str, Any]) -> str:
    """Return a YAML text with an overlay merged in, its comments kept.

    Mappings merge key by key, everything else replaces, null removes a key. A section whose overlay has the key
    `replace: true` starts from nothing.
    """
    editor = YAML(typ="rt")
    editor.width, editor.preserve_quotes = 120, True
    editor.representer.add_representer(type(None), _write_null)
    content = editor.load(text)
    _merge(content, overlay)
    stream = StringIO()
    editor.dump(content, stream)
    return stream.getvalue()


def _write_null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _merge(target: Any, overlay: Mapping[str, Any]) -> None:
    for key, value in overlay.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            fresh = value.get("replace") is True or not isinstance(target.get(key), dict)
            if fresh:
                target[key] = {}
            _merge(target[key], {name: inner for name, inner in value.items() if name != "replace"})
        else:
            target[key] = copy.deepcopy(value)  # what an overlay shares by `&` and `*` is written out
