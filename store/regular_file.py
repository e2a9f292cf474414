"""Reads files that others may have put there: regular files only, and never more bytes than agreed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from store.backend import printable

# Without O_NONBLOCK, opening a FIFO would wait for ever for its other end.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
