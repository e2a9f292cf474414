"""Finds what nobody needs any more: segments without a row of any known manifest, old temporary files, old trash.

The caller names every manifest that the store serves: whoever is left out loses cached rows (never results), and has
the grace period to notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from store.encoder_log import EncoderLog
from store.errors import InvalidRequest
from store.feature_store import LAYOUT, FeatureStore
from store.index import KeySet
from store.rows import check_keys
from store.trash import DAY, list_trash, throw_away

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
