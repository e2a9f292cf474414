"""A folder of one run for arrays that are too large to travel with units of work: written here, read there, or back.

Every file has its digest, which travels: a worker that does not share the folder, or sees another file, is found out.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Executor, Unit
from stages.errors import InputError
from stages.files import file_digest
from stages.workers import in_order, worker_name
from store.publish import put_in_place, temporary_output

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
    return _put(path, arrays, lambda _: path)


def _put(path: Path, arrays: Mapping[str, NDArray[Any]], named: Callable[[str], Path]) -> str:
    """Write arrays beside `path` under the name that their digest gives, and return the digest."""
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


def report_of(task: Mapping[str, Any], **arrays: NDArray[Any]) -> dict[str, str]:
    """Put what a worker computed into a file named after `into` of its task, and return what it reports of that.

    A task may be done twice, by a worker that was taken for lost and by another one. The digest in the name keeps the
    late one, whose processor may round otherwise, from replacing what was reported.

    Returns
    -------
    dict
        `worker`, and the `digest` of the file.

    Raises
    ------
    StoreFull, StoreNotWritable, FileNotFoundError
        As `put_arrays` does. What computes the arrays raises `InputError` or `CorruptMatrix` when its worker does not
        see what the run is about, or would compute by other versions.
    """
    into = Path(task["into"])
    return {"worker": worker_name(), "digest": _put(into, arrays, partial(_named, into))}


def _named(into: Path, digest: str) -> Path:
    return into.with_stem(f"{into.stem}-{digest[:16]}")


def arrays_of(
    executor: Executor, work: Unit, tasks: Sequence[Mapping[str, Any]]
) -> Generator[dict[str, NDArray[Any]], None, None]:
    """Have tasks done, and yield the arrays that each left in its file, in the order of the tasks; the files then go.

    Parameters
    ----------
    work : callable
        Returns `report_of` its task.

    Raises
    ------
    InputError
        When a worker wrote its file where it cannot be seen from here.
    UnitLost, RunError, Exception
        As `Executor.map` does.
    """
    with closing(in_order(executor, work, tasks)) as reports:
        for task, report in zip(tasks, reports, strict=True):
            path = _named(Path(task["into"]), report["digest"])
            try:
                arrays = take_arrays(path, report["digest"])
            except InputError as error:
                raise InputError(f"of worker {report['worker']}: {error}") from error
            path.unlink()
            yield arrays
