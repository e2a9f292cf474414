"""Opens files named by data that nobody has vetted; `items` hands it on to `prepare` and to the image encoders."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from stages.errors import InputError

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
    descriptor = _open_at_once(path)
    try:
        _refuse_irregular(descriptor, path, max_bytes)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(max_bytes)
    finally:
        os.close(descriptor)


def _refuse_irregular(descriptor: int, path: Path, max_bytes: int) -> None:
    """Check what has been opened: the path itself may have been swapped since somebody looked at it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(_not_regular(path))
    if status.st_size > max_bytes:
        raise InputError(f"expected at most {max_bytes:,} bytes, found {status.st_size:,} in {path}; shrink the file")


def _open_at_once(path: Path) -> int:
    """Open for reading without following a last symbolic link and without waiting for the writer of a pipe."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENODEV}:  # a link; a socket; a device nobody drives
            raise InputError(_not_regular(path)) from error
        raise


def _not_regular(path: Path) -> str:
    return (
        f"expected a regular file, found a folder, pipe, device, socket or symbolic link: {path}; name the file itself"
    )
