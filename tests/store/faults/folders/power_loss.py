"""A disk that forgets on power loss whatever was not synced: records what the store asks of `os`, and reboots from it.

POSIX promises two things only: fsync of a file keeps its bytes, fsync of a folder keeps its names. Everything else may
be kept or lost, so each point of time has several states after a reboot, and all of them must be good.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What may be found of the things never synced: the names, the bytes.
POLICIES = list(itertools.product(["lost", "kept"], repeat=2))
_FOLDER = -1


class RecordingOs:
    """Stands in for `os`: does what it is asked, and remembers the steps below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps: list[tuple[Any, ...]] = []
        self._paths: dict[int, Path] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def mark(self) -> None:
        """Note that the caller was told that its rows are stored."""
        self.steps.append(("told",))

    def open(self, path: Any, flags: int, *rest: Any) -> int:
        descriptor = os.open(path, flags, *rest)
        self._paths[descriptor] = Path(path)
        if flags & os.O_CREAT:
            self.steps.append(("create", Path(path)))
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        written = os.write(descriptor, data)
        self.steps.append(("write", self._paths[descriptor], bytes(data[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        self.steps.append(("sync", self._paths[descriptor]))

    def mkdir(self, path: Any, mode: int = 0o777) -> None:
        os.mkdir(path, mode)  # noqa: PTH102 (stands in for it)
        self.steps.append(("mkdir", Path(path)))

    def link(self, source: Any, target: Any) -> None:
        os.link(source, target)
        self.steps.append(("link", Path(source), Path(target)))

    def replace(self, source: Any, target: Any) -> None:
        os.replace(source, target)  # noqa: PTH105
        self.steps.append(("rename", Path(source), Path(target)))

    rename = replace

    def unlink(self, path: Any) -> None:
        os.unlink(path)  # noqa: PTH108
        self.steps.append(("unlink", Path(path)))

    def reboots(self, below: Path) -> Iterator[tuple[int, Path]]:
        """Give every state that a power cut may leave: how often the caller had been told, and a folder with it."""
        for point in range(len(self.steps) + 1):
            disk = _Disk(self.root)
            for step in self.steps[:point]:
                disk.take(step)
            for names, data in POLICIES:
                target = below / f"{point}-{names}-{data}"
                disk.write(self.root, target, names == "kept", data == "kept")
                yield disk.told, target


class _Disk:
    def __init__(self, root: Path) -> None:
        self.told = 0
        self._now: dict[Path, dict[str, int]] = {root: {}}  # folder -> name -> file
        self._synced: dict[Path, dict[str, int]] = {root: {}}
        self._bytes: list[bytes] = []
        self._synced_bytes: list[bytes] = []

    def take(self, step: tuple[Any, ...]) -> None:
        kind, *rest = step
        getattr(self, f"_{kind}")(*rest)

    def _told(self) -> None:
        self.told += 1

    def _create(self, path: Path) -> None:
        self._now[path.parent][path.name] = len(self._bytes)
        self._bytes.append(b"")
        self._synced_bytes.append(b"")

    def _write(self, path: Path, data: bytes) -> None:
        self._bytes[self._now[path.parent][path.name]] += data

    def _mkdir(self, path: Path) -> None:
        self._now[path.parent][path.name] = _FOLDER
        self._now[path], self._synced[path] = {}, {}

    def _sync(self, path: Path) -> None:
        if path in self._now:
            self._synced[path] = dict(self._now[path])
        elif path.parent in self._now:
            file = self._now[path.parent][path.name]
            self._synced_bytes[file] = self._bytes[file]

    def _link(self, source: Path, target: Path) -> None:
        self._now[target.parent][target.name] = self._now[source.parent][source.name]

    def _rename(self, source: Path, target: Path) -> None:
        self._link(source, target)
        self._unlink(source)

    def _unlink(self, path: Path) -> None:
        del self._now[path.parent][path.name]

    def write(self, folder: Path, target: Path, names: bool, data: bool) -> None:
        """Write the state after a reboot as real files."""
        target.mkdir(parents=True)
        for name, file in (self._now if names else self._synced)[folder].items():
            if file == _FOLDER:
                self.write(folder / name, target / name, names, data)
            else:
                (target / name).write_bytes((self._bytes if data else self._synced_bytes)[file])
