"""A storage that misbehaves on demand: fsspec's memory, behind a plan that says what becomes of each request."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

WRITES = {"pipe_file", "cp_file", "rm_file"}


class Killed(BaseException):
    """Ends the client at once, as SIGKILL would: an object backend has no temporary file to clear away."""


def busy() -> OSError:
    """What s3fs makes of 503 SlowDown."""
    return OSError(errno.EBUSY, "Please reduce your request rate.")


def expired() -> PermissionError:
    """What s3fs makes of credentials that are out of date."""
    return PermissionError("The provided token has expired.")


@dataclass(frozen=True)
class Call:
    """One request: which of all it is (from 1), what it asks, and of which object."""

    number: int
    operation: str
    path: str

    @property
    def writes(self) -> bool:
        return self.operation in WRITES


@dataclass(frozen=True)
class Fault:
    """What the client meets; `acted` when the storage did as asked and only the answer was lost."""

    error: BaseException
    acted: bool = False


Plan = Callable[[Call], Fault | None]


def at(number: int, error: BaseException, *, acted: bool = False) -> Plan:
    """Let one request fail."""
    return lambda call: Fault(error, acted) if call.number == number else None


def after(number: int, error: BaseException, *, writes_only: bool = False) -> Plan:
    """Let every request fail from one on."""
    return lambda call: Fault(error) if call.number >= number and (call.writes or not writes_only) else None


class FaultFS(AbstractFileSystem):
    """Serves the six requests that an `ObjectBackend` may make, and refuses to know any other.

    Attributes
    ----------
    calls : list of Call
        All that was asked.
    plan : callable
        Says for each request what becomes of it; None for nothing in particular.
    ignores_conditions : bool
        Overwrite even when asked to create, as some storages do.
    """

    cachable = False

    def __init__(self, plan: Plan = lambda _: None) -> None:
        super().__init__(skip_instance_cache=True)
        self.inner = fsspec.filesystem("memory")
        self.plan = plan
        self.calls: list[Call] = []
        self.ignores_conditions = False
        self._listings: dict[str, list[dict[str, Any]]] | None = None

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        if self._listings is not None:
            return self._ask("ls", path, lambda: self._listed_before(path))
        return self._ask("ls", path, lambda: self.inner.ls(path, detail=detail))

    def info(self, path: str, **_: Any) -> Any:
        return self._ask("info", path, lambda: self.inner.info(path))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> Any:
        return self._ask("cat_file", path, lambda: self.inner.cat_file(path, start=start, end=end))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> Any:
        mode = "overwrite" if self.ignores_conditions else mode
        return self._ask("pipe_file", path, lambda: self.inner.pipe_file(path, value, mode=mode))

    def cp_file(self, path1: str, path2: str, **_: Any) -> Any:
        return self._ask("cp_file", path1, lambda: self.inner.cp_file(path1, path2))

    def rm_file(self, path: str) -> Any:
        return self._ask("rm_file", path, lambda: self.inner.rm_file(path))

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        raise AssertionError(f"a backend must not open {path} ({mode}): fsspec stores what was written before an error")

    def freeze(self, root: str) -> None:
        """From now on, list what lies below `root` at this moment."""
        self._listings = {path: self.inner.ls(path, detail=True) for path, _, _ in self.inner.walk(root)}

    def thaw(self) -> None:
        """List what is there."""
        self._listings = None

    def _listed_before(self, path: str) -> list[dict[str, Any]]:
        assert self._listings is not None
        if path not in self._listings:
            raise FileNotFoundError(path)
        return self._listings[path]

    def _ask(self, operation: str, path: str, act: Callable[[], Any]) -> Any:
        call = Call(len(self.calls) + 1, operation, path)
        self.calls.append(call)
        fault = self.plan(call)
        if fault is None:
            return act()
        if fault.acted:
            with contextlib.suppress(Exception):  # the answer is lost, whatever it would have been
                act()
        raise fault.error
