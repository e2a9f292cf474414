"""A folder that appears whole or not at all: `run` builds in a sibling and swaps it into place when all went well."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT = ".gitignore"


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty sibling of `folder` that takes its place when the block ends without an error.

    An error leaves `folder` as it was, existing or not, and removes the sibling.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    workspace = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    workspace.mkdir()
    try:
        yield workspace
        _keep_ignore_file(folder, workspace)
        _swap(workspace, folder)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _keep_ignore_file(folder: Path, workspace: Path) -> None:
    """Carry over the only file in the folder that is not ours: DVC lists its outputs for git there."""
    if (folder / _KEPT).is_file():
        shutil.copy2(folder / _KEPT, workspace / _KEPT)


def _swap(workspace: Path, folder: Path) -> None:
    if not folder.exists():
        workspace.rename(folder)
        return
    outgoing = workspace.with_suffix(".old")
    folder.rename(outgoing)
    try:
        workspace.rename(folder)
    except OSError:
        outgoing.rename(folder)
        raise
    shutil.rmtree(outgoing)
