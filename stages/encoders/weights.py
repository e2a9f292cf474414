"""Find the files of a model and name their content; the encoders load what is found here, `hub` fetches the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from stages.encoders.hub import HUB_FILES, fetch, is_hub_id
from stages.errors import InputError

PACKAGE_PREFIX = "package:"
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def resolve_model(model: str, revision: str | None = None, files: tuple[str, ...] = HUB_FILES) -> Path:
    """Return the file or folder that `model` names.

    Parameters
    ----------
    model : str
        `package:<import name>/<path inside it>`, the path of a local file or folder, or a hub id (`owner/name`).
    revision : str, optional
        The commit of a hub id, 40 hexadecimal digits. With it a hub id is meant, even where a folder has that name.
    files : tuple of str
        Patterns of the names wanted from the hub.

    Raises
    ------
    InputError
        When nothing is there, a hub id has no revision, or the hub does not give it. A package is located, never
        imported: weights are data.
    """
    if model == "random":
        raise InputError(
            "model: expected files of weights here; found 'random', which has none; choose an encoder that can draw "
            "its weights at random (`diptych catalog encoders`)."
        )
    if revision is not None and not is_hub_id(model):
        raise InputError(f"revision: expected it beside a hub id (owner/name); found {model!r}; leave it out.")
    if model.startswith(PACKAGE_PREFIX):
        return _inside_package(model)
    if revision is None and Path(model).exists():
        return Path(model)
    if is_hub_id(model):
        return fetch(model, revision, files)
    raise InputError(
        f"model: expected package:<import name>/<path>, an existing local file or folder, or a hub id (owner/name); "
        f"found {model!r}; correct it, or download the model once and give its folder."
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model's folder: the one, or the shards that its index names, in order.

    Raises
    ------
    InputError
        When there is neither, or a shard lacks, or the index is damaged or names files elsewhere.
    """
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if not (folder / _INDEX).is_file():
        raise InputError(
            f"model: expected {_SINGLE} or {_INDEX} in {folder.name!r}; found neither; save the model with "
            "save_pretrained()."
        )
    shards = [folder / name for name in _shard_names(folder)]
    lacking = [path.name for path in shards if not path.is_file()]
    if lacking:
        raise InputError(
            f"model: expected {len(shards)} files of weights in {folder.name!r}; found {len(lacking)} of them lacking, "
            f"such as {lacking[0]!r}; copy or download the model again."
        )
    return shards


def _shard_names(folder: Path) -> list[str]:
    try:
        names = sorted(set(json.loads((folder / _INDEX).read_text("utf-8"))["weight_map"].values()))
        plain = bool(names) and all(Path(name).name == name and name.endswith(".safetensors") for name in names)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        names, plain = [], False
    if not plain:
        raise InputError(
            f"model: expected {_INDEX} in {folder.name!r} to name safetensors files beside it; found other content; "
            "copy or download the model again."
        )
    return names


def _inside_package(model: str) -> Path:
    name, _, inner = model.removeprefix(PACKAGE_PREFIX).partition("/")
    root = _package_folder(name, model)
    path = (root / inner).resolve()
    if not path.is_relative_to(root) or not path.exists():
        raise InputError(
            f"model: expected a file or folder inside the package {name!r}; found none at {inner!r}; "
            "look the path up in the package."
        )
    return path


def _package_folder(name: str, model: str) -> Path:
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"model: expected an installed package in {model!r}; found no package {name!r}; install it with pip."
        )
    return Path(spec.submodule_search_locations[0]).resolve()


def files_digest(paths: Iterable[Path]) -> str:
    """Return the sha256 hex digest of some files' names and contents, whatever the order they are given in."""
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda each: each.name):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{path.name}\0{content}\n".encode())
    return total.hexdigest()
