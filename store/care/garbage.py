"""Takes out what nobody needs: segments without a row of any known manifest, old temporary files, old trash.

The caller names every manifest that the store serves: whoever is left out loses cached rows (never results), and has
the grace period to notice. What is taken out waits in the trash: nothing is deleted before that period is over.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from store.backends.protocol import Backend
from store.errors import InvalidRequest
from store.features.index import KeySet
from store.features.log import EncoderLog
from store.features.store import LAYOUT, FeatureStore
from store.items.vectors import check_keys

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


GRACE_DAYS = 14.0
_SHORTEST_GRACE_DAYS = 7.0
_TEMPORARY = ".tmp-"

Kind = Literal["segment", "signature", "temporary", "trash"]


@dataclass(frozen=True)
class Garbage:
    """Something that may go.

    Attributes
    ----------
    kind : {"segment", "signature", "temporary", "trash"}
        A segment, and the signature of one that is gone, goes to the trash; the others are deleted.
    path : str
        Below the root.
    rows, size : int
        Of a segment; 0 for the others.
    age_days : float
        By the storage's clock.
    """

    kind: Kind
    path: str
    rows: int
    size: int
    age_days: float


def gc(
    store: FeatureStore,
    known: Iterable[NDArray[np.uint8]],
    *,
    grace_days: float = GRACE_DAYS,
    apply: bool = False,
) -> list[Garbage]:
    """Find, and with `apply` remove, what is neither needed nor young.

    A segment stays as a whole when one of its rows is needed. Ages are told by the storage's own clock.

    Parameters
    ----------
    store : FeatureStore
    known : iterable of ndarray of uint8, shape [N, 32]
        The keys of all manifests that use this store; at least one key in all.
    grace_days : float
        Nothing younger goes, and the trash is kept as long; at least 7: longer than the longest run.
    apply : bool
        Without it, nothing is touched.

    Raises
    ------
    InvalidRequest
        When no key is known, or the grace period is too short: everybody's rows would go.
    """
    keys = _key_set(known)
    if not grace_days >= _SHORTEST_GRACE_DAYS:
        raise InvalidRequest(
            f"expected a grace period of at least {_SHORTEST_GRACE_DAYS:g} days, found {grace_days:g}; a run that "
            "looked rows up before must not lose them"
        )
    now, grace = store.backend.now(), grace_days * DAY
    found = [
        *_unneeded(store, keys, now, grace),
        *_orphans(store, now, grace),
        *_temporaries(store, now, grace),
        *(Garbage("trash", t.path, 0, 0, t.age / DAY) for t in list_trash(store.backend, now) if t.age > grace),
    ]
    for each in found if apply else []:
        if each.kind in ("segment", "signature"):
            throw_away(store.backend, each.path, now)
        else:
            store.backend.remove(each.path)
    return found


def _key_set(known: Iterable[NDArray[np.uint8]]) -> KeySet:
    parts = list(known)
    for part in parts:
        check_keys(part)
    keys = np.concatenate(parts) if parts else np.zeros((0, 32), dtype=np.uint8)
    if not len(keys):
        raise InvalidRequest("expected the keys of at least one manifest, found none; name every manifest in use")
    return KeySet(keys)


def _unneeded(store: FeatureStore, keys: KeySet, now: float, grace: float) -> Iterator[Garbage]:
    for log in store.logs():
        needed = _needed_names(log, keys)
        for name, entry in log.files.all_entries():
            age = now - entry.modified
            # What is not in `needed` was read, or is damaged: that is for `repair`.
            if age > grace and needed.get(entry.name) is False:
                yield Garbage("segment", log.files.path(name), name.rows, entry.size, age / DAY)


def _needed_names(log: EncoderLog, keys: KeySet) -> dict[str, bool]:
    """Tell for each sound segment whether it holds a needed row, also one that another segment holds too."""
    return {name: keys.meets(table) for name, table in log.files.tables(corrupt=[], untrusted=True)}


def _orphans(store: FeatureStore, now: float, grace: float) -> Iterator[Garbage]:
    """Find signatures whose segment is gone."""
    for log in store.logs():
        names = {entry.name for _, entry in log.files.all_entries()}
        for entry, name in log.files.signatures.entries():
            if name not in names and now - entry.modified > grace:
                path = f"{log.files.signatures.folder}/{entry.name}"
                yield Garbage("signature", path, 0, entry.size, (now - entry.modified) / DAY)


def _temporaries(store: FeatureStore, now: float, grace: float) -> Iterator[Garbage]:
    inner = ("", "/segments", "/signatures")
    for folder in ["", LAYOUT, *(f"{folder}{each}" for folder in store.encoder_folders() for each in inner)]:
        for entry in store.backend.files(folder):
            if entry.name.startswith(_TEMPORARY) and now - entry.modified > grace:
                path = f"{folder}/{entry.name}" if folder else entry.name
                yield Garbage("temporary", path, 0, entry.size, (now - entry.modified) / DAY)
