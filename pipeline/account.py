"""What DVC and the hub take for granted of who runs and where: a name, a home, a git repository; `doctor` asks."""

from __future__ import annotations

import configparser
import getpass
import os
from pathlib import Path

from stages.errors import InputError


def told_user() -> str:
    """Return the name of who runs this.

    Raises
    ------
    InputError
        Where the system knows none, as in a container under a foreign user id: `dvc` ends there.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        raise InputError(
            f'expected a name for user id {os.getuid()}, found no passwd entry: DVC ends with "getpwuid(): uid not '
            'found"; set USER to any name (`export USER=me`, `docker run -e USER=me`), or add an entry to /etc/passwd'
        ) from None


def told_home() -> str:
    """Return the home folder.

    Raises
    ------
    InputError
        Where there is none: caches of models and of DVC have no place.
    """
    try:
        return str(Path.home())
    except RuntimeError:
        raise InputError(
            "expected a home folder, found none; set HOME to a folder that you may write (`export HOME=/tmp/me`)"
        ) from None


def told_git(root: Path) -> str:
    """Return the root of the git repository that a project stands in.

    Raises
    ------
    InputError
        Where there is none and DVC was not told so.
    """
    there = next((each for each in (root, *root.parents) if (each / ".git").exists()), None)
    if there is not None:
        return str(there)
    if _without_git(root):
        return "none, which .dvc/config allows: no experiments, no `diptych repeat`"
    raise InputError(
        f'expected a git repository at {root} or above, found no .git: DVC ends with "is not a git repository"; '
        "clone the project in place of copying it, or begin one with `git init` (to do without git: "
        "`dvc config core.no_scm true`)"
    )


def _without_git(root: Path) -> bool:
    config = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        config.read([root / ".dvc/config", root / ".dvc/config.local"], "utf-8")
        return config.getboolean("core", "no_scm", fallback=False)
    except (configparser.Error, ValueError):
        return False
