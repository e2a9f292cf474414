"""Find the files of a model, in a package, a folder or at a commit of the hub, and name their content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from store.errors import InputError

# Formats that cannot run code; no second set of weights in half precision.
_HUB_WEIGHTS = ["model.safetensors", "model-*.safetensors"]
_HUB_OTHERS = ["*.json", "*.txt", "tokenizer.model", "spiece.model", "sentencepiece*.model"]
_HUB_FILES = [*_HUB_WEIGHTS, *_HUB_OTHERS]
# Whatever of that a repository holds: pickles and code stay where they are, and so do exports for other engines, which
# lie in folders of their own.
_NEVER_FETCHED = ["*.bin", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.pickle", "*.pkl", "*.pt", "*.pth", "*.py", "*/*"]
_TIMEOUT = 5.0
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
OTHER_WAYS = (
    "a local folder that holds the model, `package:<import name>/<path>` for one that a Python package ships, or "
    "`random` where only the shape matters"
)


def is_hub_id(model: str) -> bool:
    """Tell whether `model` has the form of a hub id: `owner/name`, or the bare name of an old model.

    What begins with a dot, a slash or a tilde, or has a second slash, is a path; `random` is no model of the hub.
    """
    odd = "--" in model or ".." in model or model.endswith((".git", "-", ".", "/"))
    return model != "random" and not odd and _HUB_ID.fullmatch(model) is not None


def is_fetched(repo: str, revision: str | None) -> bool:
    """Tell whether the model is on this machine already; the hub is not asked."""
    return revision is not None and _cached(repo, revision) is not None


def fetch(repo: str, revision: str | None) -> Path:
    """Return the folder of a hub model's files, from the cache of this machine or else from the hub.

    Parameters
    ----------
    repo : str
        `owner/name`, or the bare name of an old model.
    revision : str or None
        The commit, 40 hexadecimal digits.

    Raises
    ------
    InputError
        Without a whole commit, when the hub cannot be reached or refuses, or when there are no safetensors.
    OSError
        When the cache cannot be written.
    """
    pinned = _pinned(repo, revision)
    cached = _cached(repo, pinned)
    if cached is not None:
        return cached
    try:
        folder = _download(repo, pinned)
    except Exception as error:  # of the hub's client, its HTTP library and its transfer library, in many types
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # numbered by the system: this machine's disk, not the network
        _refuse_hub(repo, pinned, error)
    if not _is_whole(folder):
        raise InputError(
            f"model: expected weights as safetensors ({', '.join(_HUB_WEIGHTS)}) in {repo!r} at {pinned[:12]}; "
            "found no such file, and pickles (.bin, .pt) are never loaded because they can run code; pin a commit that "
            f"has them, or convert the model with save_pretrained() and give {OTHER_WAYS}."
        )
    return folder


def _pinned(repo: str, revision: str | None) -> str:
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    raise InputError(
        f"model: expected a `revision` beside the hub id {repo!r}, a commit of 40 hexadecimal digits, because what a "
        "name or a branch stands for may change, and the same params must always mean the same weights; found "
        f"{'none, and no local file or folder of that name' if revision is None else repr(revision)}; copy the commit "
        f"from the history on the model's page (or `git ls-remote https://huggingface.co/{repo} HEAD`), or give "
        f"{OTHER_WAYS}."
    )


def _cached(repo: str, revision: str) -> Path | None:
    """Return the folder in the cache, None when it is not there or lacks some of its files."""
    from huggingface_hub import snapshot_download  # a second to import, and needed for hub ids only
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=_NEVER_FETCHED, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    return Path(folder) if _is_whole(Path(folder)) else None


def _download(repo: str, revision: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

    try:
        # Asked once: the listing that snapshot_download begins with is asked again and again for half a minute.
        get_hf_file_metadata(hf_hub_url(repo, "config.json", revision=revision), timeout=_TIMEOUT)
    except RevisionNotFoundError:
        raise
    except EntryNotFoundError:
        pass  # the hub answers, and knows the model; what lacks is told by what comes
    return Path(
        snapshot_download(
            repo, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=_NEVER_FETCHED, etag_timeout=_TIMEOUT
        )
    )


def _is_whole(folder: Path) -> bool:
    return folder.is_dir() and any(any(folder.glob(each)) for each in _HUB_WEIGHTS)


def _refuse_hub(repo: str, revision: str, error: Exception) -> NoReturn:
    # The client's own text may hold an address with credentials, so only its type and status are told.
    raise InputError(
        f"model: expected {repo!r} at {revision[:12]} in this machine's cache or on the model hub; found "
        f"{_hub_reason(error)}; mend that, or give {OTHER_WAYS}."
    ) from None


def _hub_reason(error: Exception) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    for kind, words in {
        OfflineModeIsEnabled: "it not in the cache, and HF_HUB_OFFLINE forbids to ask the hub",
        GatedRepoError: "a model whose owner must admit you (ask on its page, then `hf auth login`)",
        RepositoryNotFoundError: "no such model, or one that you may not read (`hf auth login`)",
        RevisionNotFoundError: "the model, but no such commit in it",
    }.items():
        if any(isinstance(cause, kind) for cause in causes):
            return words
    answers = [each.response.status_code for each in causes if isinstance(each, HfHubHTTPError)]
    if answers:
        return f"the hub answering with status {answers[0]}"
    return f"no connection to the hub ({type(causes[-1]).__name__})"


PACKAGE_PREFIX = "package:"
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def resolve_model(model: str, revision: str | None = None) -> Path:
    """Return the file or folder that `model` names.

    Parameters
    ----------
    model : str
        `package:<import name>/<path inside it>`, the path of a local file or folder, or a hub id (`owner/name`).
    revision : str, optional
        The commit of a hub id, 40 hexadecimal digits. With it a hub id is meant, even where a folder has that name.

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
        return fetch(model, revision)
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
