"""Fetches a model from the Hugging Face hub at one commit, as data files alone; `weights` asks it for hub ids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from stages.errors import InputError

HUB_FILES = (
    "model.safetensors", "model-*.safetensors", "*.json", "*.txt", "tokenizer.model", "spiece.model",
    "sentencepiece*.model",
)  # fmt: skip
"""Weights, configuration and tokenizer in formats that cannot run code; no second set of weights in half precision."""

# Whatever `files` a caller asks for: pickles and code stay where they are, and so do exports for other engines, which
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


def is_fetched(repo: str, revision: str | None, files: tuple[str, ...] = HUB_FILES) -> bool:
    """Tell whether the model is on this machine already; the hub is not asked."""
    return revision is not None and _cached(repo, revision, files) is not None


def fetch(repo: str, revision: str | None, files: tuple[str, ...] = HUB_FILES) -> Path:
    """Return the folder of a hub model's files, from the cache of this machine or else from the hub.

    Parameters
    ----------
    repo : str
        `owner/name`, or the bare name of an old model.
    revision : str or None
        The commit, 40 hexadecimal digits.
    files : tuple of str
        Patterns of the names wanted; pickles, code and folders are never fetched.

    Raises
    ------
    InputError
        Without a whole commit, when the hub cannot be reached or refuses, or when there are no safetensors.
    OSError
        When the cache cannot be written.
    """
    pinned = _pinned(repo, revision)
    cached = _cached(repo, pinned, files)
    if cached is not None:
        return cached
    try:
        folder = _download(repo, pinned, files)
    except Exception as error:  # of the hub's client, its HTTP library and its transfer library, in many types
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # numbered by the system: this machine's disk, not the network
        _refuse_hub(repo, pinned, error)
    if not _is_whole(folder, files):
        raise InputError(
            f"model: expected weights as safetensors ({', '.join(_patterns(files))}) in {repo!r} at {pinned[:12]}; "
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


def _cached(repo: str, revision: str, files: tuple[str, ...]) -> Path | None:
    """Return the folder in the cache, None when it is not there or lacks some of its files."""
    from huggingface_hub import snapshot_download  # a second to import, and needed for hub ids only
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=list(files), ignore_patterns=_NEVER_FETCHED, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    return Path(folder) if _is_whole(Path(folder), files) else None


def _download(repo: str, revision: str, files: tuple[str, ...]) -> Path:
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
            repo, revision=revision, allow_patterns=list(files), ignore_patterns=_NEVER_FETCHED, etag_timeout=_TIMEOUT
        )
    )


def _is_whole(folder: Path, files: tuple[str, ...]) -> bool:
    patterns = _patterns(files)
    return folder.is_dir() and (not patterns or any(any(folder.glob(each)) for each in patterns))


def _patterns(files: tuple[str, ...]) -> list[str]:
    return [pattern for pattern in files if pattern.endswith(".safetensors")]


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
