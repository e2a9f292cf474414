"""Reads files that others may have put there: regular files only, never more bytes than agreed, and below their root.

`read_regular` is for files of ours and raises what the system says; `resolve_below` and `read_regular_file` are for
paths that data name, and raise what a person reads.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from store.errors import InputError

# Without O_NONBLOCK, opening a FIFO would wait for ever for its other end.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def printable(text: str) -> str:
    """Escape what a terminal would obey: anybody who may write to a store may choose names in it."""
    return text if text.isprintable() else repr(text)[1:-1]


def read_regular(path: Path, limit: int) -> bytes:
    """Read a whole file that is neither a link nor a device nor larger than `limit`.

    Raises
    ------
    ValueError
        When it is not a regular file, or is larger.
    OSError
        What the system answers; a symbolic link gives ELOOP.
    """
    descriptor = os.open(path, _OPEN)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"expected a regular file at {printable(str(path))}, found something else")
        if status.st_size > limit:
            raise ValueError(f"expected at most {limit} bytes in {printable(str(path))}, found {status.st_size}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            # The file may have grown since fstat: what is read stays bounded, and the caller's checksum finds it.
            return file.read(limit + 1)
    finally:
        os.close(descriptor)


MAX_FILE_BYTES = 256 * 1024 * 1024
_SCHEME_OR_DRIVE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[/\\]")
_REMEDY = "write it relative to the root, with forward slashes"
_SHARD = re.compile(r"[0-9a-f]{2}")
_trusted: list[Path] = []


def trust_roots(roots: Iterable[str | Path]) -> None:
    """Let symbolic links lead below these folders too, in this process and from now on; nothing else changes.

    Whoever owns the machine names them (`trusted_roots` in local.toml), never the data nor params.yaml: a link can lead
    to any file that the owner may read.
    """
    _trusted[:] = [Path(root) for root in roots]


def trusted_roots() -> list[str]:
    """Return the folders that `trust_roots` named last, for a worker to trust them as well."""
    return [str(root) for root in _trusted]


def resolve_below(root: Path, relative: str) -> Path:
    """Resolve a path taken from data, and refuse it unless it stays below `root` or a link leads below a trusted root.

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
        For an absolute path, a home (`~`), a URL, a drive, a backslash, a NUL, or a path whose `..` lead outside
        `root`, or whose symbolic links lead neither below it nor below a root that `trust_roots` named.
    """
    objection = _objection(relative)
    if objection:
        raise InputError(f"expected a path below {root}, found {relative!r}, {objection}; {_REMEDY}")
    try:
        home = root.resolve()
        path = (home / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"expected a path below {root}, found {relative!r}, not a usable path ({error})") from error
    if path != home and path.is_relative_to(home):
        return path
    if path == home or ".." in PurePosixPath(relative).parts:
        raise InputError(f"expected a path below {root}, found {relative!r}, which leads elsewhere; {_REMEDY}")
    if not any(path.is_relative_to(trusted.resolve()) for trusted in _trusted):
        nothing = "" if path.exists() else ", where nothing is"
        raise InputError(
            f"expected a path below {root}, found {relative!r}, whose symbolic link leads to {path}{nothing}; "
            "put the file itself there, or, if you trust what lies behind the link, name a folder above that in "
            f'local.toml: trusted_roots = ["{_above(path)}"]'
        )
    return path


def _above(path: Path) -> Path:
    """Name the folder that a person would trust for a file: in a cache by digests, the one that holds its shards."""
    folder = path.parent
    return folder.parent if _SHARD.fullmatch(folder.name) else folder


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
