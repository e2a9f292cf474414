"""Where files wait that maintenance took out of the store: nothing is deleted before its grace period is over."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from store.backend import Backend
from store.errors import InvalidRequest

TRASH = "trash"
# Apart, so that restoring a day brings no damage back.
DAMAGED = "damaged"
DAY = 86_400.0
_DEPTH = 3  # layout, encoder, segments or signatures


@dataclass(frozen=True)
class Trashed:
    """A file in the trash.

    Attributes
    ----------
    path : str
        Where it lies now.
    origin : str
        Where it lay, below the root.
    age : float
        Seconds since the end of the day on which it was put there, by the storage's clock; negative on that day.
    """

    path: str
    origin: str
    age: float


def throw_away(backend: Backend, path: str, now: float, *, damaged: bool = False) -> None:
    """Move a file to the folder of today; `now` is the storage's clock, and a file that is gone is no error."""
    try:
        backend.move(path, f"{DAMAGED if damaged else TRASH}/{_date(now)}/{path}")
    except FileNotFoundError:
        return  # another janitor was faster


def list_trash(backend: Backend, now: float) -> list[Trashed]:
    """List everything in the trash, damaged files last, oldest day first."""
    found: list[Trashed] = []
    for root, date in ((f"{kind}/{date}", date) for kind in (TRASH, DAMAGED) for date in backend.folders(kind)):
        try:
            day = datetime.datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=datetime.UTC)
        except ValueError:  # somebody else's folder
            continue
        age = now - day.timestamp() - DAY
        found += [Trashed(path, path.removeprefix(f"{root}/"), age) for path in _below(backend, root)]
    return found


def restore(backend: Backend, date: str) -> list[str]:
    """Put one day's trash back, except damaged files and what is there again; give the paths.

    Parameters
    ----------
    date : str
        ``YYYY-MM-DD``.

    Raises
    ------
    InvalidRequest
        When there is no trash of that day.
    """
    root = f"{TRASH}/{date}"
    paths = _below(backend, root) if date in backend.folders(TRASH) else []
    if not paths:
        days = ", ".join(day for day in backend.folders(TRASH) if _below(backend, f"{TRASH}/{day}")) or "no day"
        raise InvalidRequest(f"expected a day with trash, found {date!r}; there is trash of: {days}")
    there: dict[str, set[str]] = {}
    restored = []
    for path in paths:
        origin = path.removeprefix(f"{root}/")
        folder, _, name = origin.rpartition("/")
        if folder not in there:
            there[folder] = {entry.name for entry in backend.files(folder)}
        if name not in there[folder]:
            backend.move(path, origin)
            restored.append(origin)
    return restored


def _below(backend: Backend, folder: str, depth: int = _DEPTH) -> list[str]:
    """List all files below a folder, no deeper than we put any."""
    inner = backend.folders(folder) if depth else []
    deeper = [path for name in inner for path in _below(backend, f"{folder}/{name}", depth - 1)]
    return [*(f"{folder}/{entry.name}" for entry in backend.files(folder)), *deeper]


def _date(now: float) -> str:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%d")
