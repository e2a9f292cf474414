"""A folder of one run for arrays that are too large to travel to other processes: written here, read there, or back.

Every file has its digest, which travels: a worker that does not share the folder, or sees another file, is found out.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError
from store.files.publish import put_in_place, temporary_output
from store.files.reading import file_digest

_LOCK = ".lock"


@contextmanager
def scratch_folder(root: Path) -> Iterator[Path]:
    """Yield an empty folder below `root`, which is removed however the block ends.

    What runs left that were killed is removed first: the lock of a folder is let go with the process that held it.
    """
    root.mkdir(parents=True, exist_ok=True)
    for lock in root.glob(f"*{_LOCK}"):
        _remove_abandoned(lock)
    with _own_lock(root.absolute()) as lock:
        folder = lock.with_suffix("")
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder, lock)


@contextmanager
def _own_lock(root: Path) -> Iterator[Path]:
    while True:
        lock = root / f"{secrets.token_hex(8)}{_LOCK}"
        with lock.open("w") as held:
            with suppress(OSError):  # a file system without locks: then nobody can tell that this run is gone, either
                fcntl.flock(held, fcntl.LOCK_EX)
            # Before it was held, another run may have taken it for abandoned and removed it.
            if lock.exists():
                yield lock
                return


def _remove_abandoned(lock: Path) -> None:
    with suppress(OSError), lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(lock.with_suffix(""), lock)


def _remove(folder: Path, lock: Path) -> None:
    # Under its name a worker might still be about to write: then it finds no folder, and ours empties.
    gone = folder.with_suffix(".gone")
    with suppress(OSError):
        folder.replace(gone)
    shutil.rmtree(gone, ignore_errors=True)
    if not gone.exists():  # a network file system keeps what a worker has open: the next run tries again
        lock.unlink(missing_ok=True)


def put_arrays(path: Path, **arrays: NDArray[Any]) -> str:
    """Write arrays into one file, whole or not at all, and return its digest.

    Raises
    ------
    StoreFull, StoreNotWritable
        When the disk is full or the folder refuses writing.
    FileNotFoundError
        When the folder is gone, and the run with it.
    """
    return put_named(path, arrays, lambda _: path)


def put_named(path: Path, arrays: Mapping[str, NDArray[Any]], named: Callable[[str], Path]) -> str:
    """Write arrays beside `path` under the name that their digest gives, and return the digest.

    Raises
    ------
    StoreFull, StoreNotWritable, FileNotFoundError
        As `put_arrays` does.
    """
    with temporary_output(path, expected_bytes=sum(array.nbytes for array in arrays.values())) as temporary:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        digest = file_digest(temporary)
        put_in_place(temporary, named(digest), durability="none")  # a run that is killed starts anew
    return digest


def take_arrays(path: Path, digest: str) -> dict[str, NDArray[Any]]:
    """Read what `put_arrays` wrote.

    Raises
    ------
    InputError
        When there is no such file here, or another one.
    """
    refuse_other_file(path, digest)
    with np.load(path, allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def refuse_other_file(path: Path, digest: str) -> None:
    """Refuse a file that is not the one which was written for this run.

    Raises
    ------
    InputError
        When there is none, or another.
    """
    if not path.is_file() or file_digest(path) != digest:
        found = "another file" if path.is_file() else "none"
        raise InputError(
            f"expected {path}, written for this run; found {found}; share the project's folder among all "
            "workers and the process that asks them."
        )
