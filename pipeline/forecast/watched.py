"""What DVC watches in the data and cannot read, and what `prepare` read where DVC does not watch."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from pipeline import paths
from stages.contract import Progress
from stages.prepare.params import PrepareParams
from stages.prepare.unwatched import Changes, compare, last_notes, notes_of
from store.errors import InputError
from store.files.outputs import read_small_json
from store.files.reading import printable
from store.items.manifest import Manifest

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


_SUMMARY = paths.PREPARE / "summary.json"


def changed_since_manifest(params: PrepareParams, progress: Progress) -> Changes | None:
    """Compare all that the present manifest was made from; None where this machine has no notes of it."""
    notes = notes_of(paths.UNWATCHED, paths.MANIFEST)
    if notes is not None:
        return compare(notes, progress)
    return None if _has_pictures_elsewhere(params) else Changes(0)


def changed_since_last_time(params: PrepareParams, progress: Progress) -> Changes:
    """Compare all that `prepare` read when it last read this data set here, whatever became of its manifest."""
    notes = last_notes(paths.UNWATCHED, params)
    return Changes(0) if notes is None else compare(notes, progress)


def told(changes: Changes) -> str:
    """Say how many files changed, of how many, and which is the first."""
    gone = f", {changes.removed:,} of them gone" if changes.removed else ""
    return f"{changes.changed:,} of {changes.files:,} files{gone} (first: {printable(changes.first)})"


def _has_pictures_elsewhere(params: PrepareParams) -> bool:
    """Tell whether the manifest has pictures, as far as `summary.json` knows, and DVC does not watch their folder."""
    summary = read_small_json(_SUMMARY)
    try:
        pictures = summary["kept"] > summary["missing"]["image"]
    except (KeyError, TypeError):
        return False
    watched = (Path(params.path).resolve(), paths.PREPARE.resolve())
    root = Path(Manifest.open(paths.MANIFEST).info.root).resolve()
    return pictures and not any(root.is_relative_to(each) for each in watched)
