"""Tells who else on this machine could replace a store in a folder; for `diptych doctor`."""

from __future__ import annotations

import os
import stat

from store.backend import Backend
from store.local_backend import LocalBackend


def exposure(backend: Backend) -> str:
    """Say that everybody may delete or replace what lies in the root; "" when not, or when it is no folder (yet)."""
    status = _status(backend)
    if status is None or not status.st_mode & stat.S_IWOTH or status.st_mode & stat.S_ISVTX:
        return ""
    return (
        f"expected the store {backend.address} to be writable by its owner and group only, found mode "
        f"{stat.S_IMODE(status.st_mode):04o}: everybody on this machine may delete and replace what is in it; "
        "run `chmod o-w` on it"
    )


def foreign_owner(backend: Backend) -> int | None:
    """Give the uid that owns the root when it is neither ours nor root's: it may replace all that is in it."""
    status = _status(backend)
    return None if status is None or status.st_uid in (0, os.geteuid()) else status.st_uid


def _status(backend: Backend) -> os.stat_result | None:
    if not isinstance(backend, LocalBackend):
        return None
    try:
        return backend.root.stat()
    except OSError:
        return None
