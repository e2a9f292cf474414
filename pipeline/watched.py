"""Finds in the data that DVC watches what is no regular file: DVC waits for ever at a pipe, and ends at a dead link."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from stages.errors import InputError
from store.backend import printable

_SHOWN, _MOST = 5, 1000
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


def refuse_odd_files(path: Path) -> None:
    """Refuse what DVC could not read of the file or folder `prepare.path`, before anything opens it.

    Only folders are listed, and links followed one by one, as DVC does; what .dvcignore names is left alone.

    Raises
    ------
    InputError
        Naming the first pipes, sockets, devices and links that lead nowhere.
    """
    found = _kept(list(islice(_odd(path), _MOST)))
    if not found:
        return
    more = f"\n  and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    lines = "".join(f"\n  {printable(place)}: {what}" for place, what in found[:_SHOWN])
    raise InputError(
        f"expected regular files and folders in {printable(str(path))}, which DVC reads as a whole, found others; "
        "remove them, fetch what the links lead to (`dvc checkout` for those of DVC), or name them in .dvcignore:"
        f"{lines}{more}"
    )


def _odd(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each path below `path`, or itself, that is neither a regular file nor a folder, and what it is."""
    if not path.is_dir():
        if os.path.lexists(path) and (what := _what(str(path))):
            yield str(path), what
        return
    for folder, _, files in os.walk(path):  # enters no link to a folder, as DVC enters none
        for name in sorted(files):
            place = os.path.join(folder, name)  # noqa: PTH118 (a million times)
            if what := _what(place):
                yield place, what


def _what(place: str) -> str:
    """Say what is wrong with a path; "" where it is a regular file or leads to one."""
    try:
        mode = os.stat(place).st_mode  # noqa: PTH116 (a million times)
    except OSError as error:
        return f"a link to {os.readlink(place)!r}, which leads nowhere" if os.path.islink(place) else str(error)  # noqa: PTH114, PTH115
    link = "a link to " if os.path.islink(place) else ""  # noqa: PTH114
    return "" if stat.S_ISREG(mode) else f"{link}{_KINDS.get(stat.S_IFMT(mode), 'no regular file')}"


def _kept(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out what DVC ignores; it is asked only where there is something, since it takes a second to start."""
    if not found:
        return []
    command = [sys.executable, "-m", "dvc", "check-ignore", "--stdin"]
    names = "\n".join(place for place, _ in found)
    said = subprocess.run(  # noqa: S603 (the paths go in as text)
        command, input=names, capture_output=True, text=True, errors="surrogateescape", check=False
    )
    ignored = set(said.stdout.splitlines())
    return [(place, what) for place, what in found if place not in ignored]
