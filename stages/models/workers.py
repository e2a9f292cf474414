"""What stages whose units run in other processes share: who a worker is, what it must be like, and what it left."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial, wraps
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from numpy.typing import NDArray

from stages.contract import Executor, WorkFunction
from store.errors import DiptychError, InputError
from store.files.scratch import put_named, take_arrays

LEAST_PRODUCTS = 1 << 38
"""Products of numbers below which one process is done before workers have begun: a core multiplies and adds some 10^10
in a second, and workers take seconds to start, to import, and to verify what they read."""

Held = TypeVar("Held")


@dataclass(frozen=True)
class WorkerPool:
    """Other processes that do units of work, and the folders that they share with this one.

    Attributes
    ----------
    executor : Executor
    scratch : Path
        Where a run puts what is too large to travel; see `scratch`.
    verified : Path, optional
        Remembers verified matrices, so that a worker of this machine does not read them all again; see `open_matrix`.
    """

    executor: Executor
    scratch: Path
    verified: Path | None = None


def worker_name() -> str:
    """Return the host and the process, by which a person finds the worker."""
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def told_where() -> Iterator[None]:
    """Put the name of this worker before what goes wrong here."""
    try:
        yield
    except DiptychError as error:
        raise type(error)(f"worker {worker_name()}: {error}") from error
    except OSError as error:
        if error.errno is None:
            raise
        said = f"worker {worker_name()}: {error.strerror}"
        raise OSError(error.errno, said, error.filename) from error  # of the kind that the number stands for


def held_once(build: Callable[[Mapping[str, Any]], Held]) -> Callable[[Mapping[str, Any]], Held]:
    """Have a worker keep what was built last, by the plain JSON data that said what; the one before is let go.

    Threads that ask at the same time get the same, which is built once.
    """
    lock = Lock()

    @lru_cache(maxsize=1)
    def cached(order: str) -> Held:
        return build(json.loads(order))

    @wraps(build)
    def held(order: Mapping[str, Any]) -> Held:
        with lock:
            return cached(json.dumps(order, sort_keys=True))

    return held


def versions_of(*packages: str) -> dict[str, str]:
    """Return the versions that are installed here of Diptych and of the packages that compute."""
    return {package: version(package) for package in ("diptych", *packages)}


def refuse_other_versions(wanted: Mapping[str, str]) -> None:
    """Hold what is installed on this worker against what the run was started with.

    Raises
    ------
    InputError
        When a package has another version here.
    """
    for package, stated in wanted.items():
        found = version(package)
        if found != stated:
            raise InputError(f"expected {package} {stated}; found {found}; install the same versions here.")


def in_order(executor: Executor, work: WorkFunction, units: Iterable[Any]) -> Generator[Any, None, None]:
    """Yield the result of each unit in the order of the units, whoever is done first; errors are those of `map`."""
    turn, early = 0, {}
    with closing(executor.map(work, units)) as results:
        for number, result in results:
            early[number] = result
            while turn in early:
                yield early.pop(turn)
                turn += 1


def report_of(unit: Mapping[str, Any], **arrays: NDArray[Any]) -> dict[str, str]:
    """Put what a worker computed into a file named after `into` of its unit, and return what it reports of that.

    A unit may be done twice, by a worker that was taken for lost and by another one. The digest in the name keeps the
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
    into = Path(unit["into"])
    return {"worker": worker_name(), "digest": put_named(into, arrays, partial(_named, into))}


def _named(into: Path, digest: str) -> Path:
    return into.with_stem(f"{into.stem}-{digest[:16]}")


def arrays_of(
    executor: Executor, work: WorkFunction, units: Sequence[Mapping[str, Any]]
) -> Generator[dict[str, NDArray[Any]], None, None]:
    """Have units done, and yield the arrays that each left in its file, in the order of the units; the files then go.

    Parameters
    ----------
    work : callable
        Returns `report_of` its unit.

    Raises
    ------
    InputError
        When a worker wrote its file where it cannot be seen from here.
    UnitLost, RunError, Exception
        As `Executor.map` does.
    """
    with closing(in_order(executor, work, units)) as reports:
        for unit, report in zip(units, reports, strict=True):
            path = _named(Path(unit["into"]), report["digest"])
            try:
                arrays = take_arrays(path, report["digest"])
            except InputError as error:
                raise InputError(f"of worker {report['worker']}: {error}") from error
            path.unlink()
            yield arrays
