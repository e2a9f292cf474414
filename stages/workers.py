"""What stages whose units run in other processes have in common: who a worker is, what it must be like, their order."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from stages.contract import Executor, Unit
from stages.errors import DiptychError, InputError
from store import StoreError

LEAST_PRODUCTS = 1 << 38
"""Products of numbers below which one process is done before workers have begun: a core multiplies and adds some 10^10
in a second, and workers take seconds to start, to import, and to verify what they read."""

Held = TypeVar("Held")


@dataclass(frozen=True)
class Apart:
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
    except (DiptychError, StoreError) as error:
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


def in_order(executor: Executor, work: Unit, tasks: Iterable[Any]) -> Generator[Any, None, None]:
    """Yield the result of each task in the order of the tasks, whoever is done first; errors are those of `map`."""
    turn, early = 0, {}
    with closing(executor.map(work, tasks)) as results:
        for number, result in results:
            early[number] = result
            while turn in early:
                yield early.pop(turn)
                turn += 1
