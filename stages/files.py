"""Opens files named by data that nobody has vetted; `items` hands it on to `prepare` and to the image encoders."""

from __future__ import annotations

import errno
import hashlib
import re
from pathlib import Path

from stages.errors import InputError
from store.regular_file import read_regular

MAX_FILE_BYTES = 256 * 1024 * 1024
_SCHEME_OR_DRIVE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[/\\]")
_REMEDY = "write it relative to the root, with forward slashes"


def resolve_below(root: Path, relative: str) -> Path:
    """Resolve a path taken from data, and refuse it unless it stays below `root`.

    Parameters
    ----------
    root : Path
        The folder that nothing may leave.
    relative : str
        The path as the data gives it.

    Returns
    -------
    Path
        The path with every symbolic link followed. The file need not exist.

    Raises
    ------
    InputError
        For an absolute path, a home (`~`), a URL, a drive, a backslash, a NUL, or a path whose `..` or symbolic
        links lead outside `root`.
    """
    objection = _objection(relative)
    if objection:
        raise InputError(f"expected a path below {root}, found {relative!r}, {objection}; {_REMEDY}")
    try:
        home = root.resolve()
        path = (home / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"expected a path below {root}, found {relative!r}, not a usable path ({error})") from error
    if path == home or not path.is_relative_to(home):
        raise InputError(f"expected a path below {root}, found {relative!r}, which leads elsewhere; {_REMEDY}")
    return path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _objection(relative: str) -> str:
    """Say why the text cannot be a path below any root, or "" where it can."""
    if not relative.strip():
        return "which is empty"
    if "\0" in relative:
        return "which holds a NUL"
    if "\\" in relative:
        return "which holds a backslash"
    if relative.startswith("~"):
        return "which names a home folder"
    if _SCHEME_OR_DRIVE.match(relative):
        return "which is a URL or names a drive"
    return "which is absolute" if relative.startswith("/") else ""


def read_regular_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a whole regular file; never hang on a pipe nor read a device.

    Parameters
    ----------
    path : Path
        A path without symbolic links in its last part, as `resolve_below` returns it.
    max_bytes : int
        The largest file accepted.

    Raises
    ------
    FileNotFoundError
        When there is no such file; other `OSError` as the system raises them.
    InputError
        When it is a folder, pipe, device, socket or symbolic link, or larger than `max_bytes`.
    """
    try:
        return read_regular(path, max_bytes)
    except ValueError as error:
        raise InputError(f"{error}; name a regular file of at most {max_bytes:,} bytes") from error
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENODEV}:  # a link; a socket; a device nobody drives
            raise InputError(
                f"expected a regular file at {path}, found a symbolic link, socket or device; name the file itself"
            ) from error
        raise
