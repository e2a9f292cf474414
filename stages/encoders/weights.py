"""Find the files of a model without a model hub, and name their content; the encoders load what is found here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from stages.errors import InputError

PACKAGE_PREFIX = "package:"


def resolve_model(model: str) -> Path:
    """Return the file or folder that `model` names.

    Parameters
    ----------
    model : str
        `package:<import name>/<path inside it>`, or the path of a local file or folder.

    Raises
    ------
    InputError
        When nothing is there. The package is located, never imported: weights are data.
    """
    if not model.startswith(PACKAGE_PREFIX):
        path = Path(model)
        if path.exists():
            return path
        raise InputError(
            f"model: expected package:<import name>/<path> or an existing local folder; found {model!r}; "
            "download the model once (for example with the Hugging Face command line) and give its folder."
        )
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
