"""The copy of a project in which `dvc exp run --temp` and `--queue` run, and the project that it was made from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_COPIES = Path(".dvc/tmp/exps")


def original_of(root: Path, environment: Mapping[str, str]) -> Path | None:
    """Return the project of which DVC made a copy for one experiment; None where `root` is no such copy.

    A copy holds what git tracks and DVC checks out, in a repository of its own that knows nothing of the first one. It
    lies below .dvc/tmp/exps, and DVC names the first project in DVC_ROOT, which tells where that folder is a link.

    Parameters
    ----------
    root : Path
        The root of a project.
    environment : mapping of str to str
        Of this process.
    """
    root = root.resolve()
    copy = next((each for each in (root, *root.parents) if (each / ".dvc").is_dir()), None)
    if copy is None:
        return None
    homes = [each.parents[2] for each in copy.parents if each.parts[-3:] == _COPIES.parts]
    homes += [Path(environment["DVC_ROOT"])] if environment.get("DVC_ROOT") else []
    for home in homes:
        if copy.is_relative_to((home / _COPIES).resolve()):
            return home / root.relative_to(copy)
    return None


def told_of_copy(root: Path, environment: Mapping[str, str]) -> str:
    """Say what a run in a copy lacks and how to give it that; "" in a project itself."""
    home = original_of(root, environment)
    if home is None:
        return ""
    return (
        f"this run stands in a copy of {home} without the files that git and DVC do not know, where relative paths "
        "lead elsewhere: use absolute paths, `dvc add`, `dvc exp run --copy-paths`, or neither --temp nor --queue"
    )


def out_of_reach(path: str, root: Path) -> bool:
    """Tell whether a path of params.yaml leads out of the project: in a copy it leads elsewhere, to nothing."""
    inside = Path(os.path.normpath(root / path)).is_relative_to(root)
    return not Path(path).is_absolute() and not inside
