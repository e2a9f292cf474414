"""A store in a folder, on a local disk or a shared file system; `publish` says in which order bytes and names go."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from store.backends.protocol import Backend, Entry
from store.errors import StoreError, StoreNotReadable, StoreUnreachable, UnsupportedStore
from store.files.publish import Durability, explained, make_folder, probe_writable, publish, sync, temporary_beside
from store.files.reading import printable, read_regular

# A file among the folders above it, links in a circle, a name that is too long.
_LOG = logging.getLogger("diptych.store")
_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
# What says nothing of a file: the network, the server, or this process has reached a limit.
_NO_ANSWER = {
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOTCONN,
    errno.ECONNRESET, errno.ECONNREFUSED, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
}  # fmt: skip


class LocalBackend:
    """A folder, made by the first write; implements `protocol.Backend`.

    Parameters
    ----------
    root : Path
    durability : {"full", "none"}
        "none" skips fsync: for tests only.

    Raises
    ------
    UnsupportedStore
        When `root` is something that is no folder.
    StoreNotReadable
        When it cannot be looked at.
    """

    def __init__(self, root: Path, durability: Durability = "full") -> None:
        self.root = root.expanduser()
        self._durability: Durability = durability
        self._settled: set[Path] = set()
        try:
            with self._readable(""):
                mode = self.root.stat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
            raise UnsupportedStore(f"expected a folder as the store, found {error}; name another") from error
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            _LOG.warning(
                "everybody on this machine may write to the store %s: `chmod o-w` it, or use signatures", self.shown("")
            )
        if not stat.S_ISDIR(mode):
            raise UnsupportedStore(f"expected a folder as the store, found something else at {self.root}; name another")

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    def shown(self, path: str) -> str:
        """Give the path in the file system."""
        return printable(str(self.root / path))

    def exists(self, folder: str) -> bool:
        """Tell whether the folder is there."""
        with self._readable(folder):
            return (self.root / folder).is_dir()

    def files(self, folder: str) -> list[Entry]:
        """List everything that is no folder; links are listed as such, and refused when they are read."""
        found = []
        for entry in self._scan(folder):
            if entry.is_dir(follow_symlinks=False):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                # Kept: whoever reads it learns that it is gone, and lists again for what replaced it.
                found.append(Entry(entry.name, -1, 0.0))
                continue
            found.append(Entry(entry.name, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: entry.name)

    def folders(self, folder: str) -> list[str]:
        """List folders; links and hidden names are left out."""
        entries = self._scan(folder)
        return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))

    def _scan(self, folder: str) -> list[os.DirEntry[str]]:
        with self._readable(folder):
            for attempt in range(2):
                try:
                    with os.scandir(self._inside(f"{folder}/any" if folder else "any").parent) as entries:
                        return list(entries)
                except (FileNotFoundError, NotADirectoryError):
                    break
                except OSError as error:
                    # On a network file system: the folder was made anew since it was last looked at.
                    if error.errno != errno.ESTALE or attempt:
                        raise
        return []

    def read(self, path: str, limit: int) -> bytes:
        """Read a regular file; a link, FIFO or device is refused, and so is a link among the folders below the root."""
        with self._readable(path):
            return read_regular(self._inside(path), limit)

    @contextlib.contextmanager
    def _readable(self, path: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except PermissionError as error:
            raise StoreNotReadable(
                f"expected the right to read {self.shown(path)}, found none; ask its owner for read access"
            ) from error
        except OSError as error:
            if error.errno not in _NO_ANSWER:
                raise
            # Of the machine and not of the file: nobody may take it for damage.
            raise StoreUnreachable(
                f"expected the storage to answer at {self.shown(path)}, found: {error.strerror}; run again"
            ) from error

    def _inside(self, path: str) -> Path:
        """Give a path below the root, having seen that no folder on the way is a link to somewhere else.

        Raises
        ------
        UnsupportedStore
            When one is: what is written, moved or deleted there would not be ours.
        """
        place, parts = self.root, Path(path).parts
        if Path(path).is_absolute() or ".." in parts:
            raise UnsupportedStore(f"expected a path below the store, found {printable(path)!r}; name another")
        for part in parts:
            if place != self.root and place.is_symlink():
                raise UnsupportedStore(
                    f"expected folders below {printable(str(self.root))}, found the link {printable(str(place))}; "
                    "remove it, and name the store's own folder"
                )
            place /= part
        return place

    def read_start(self, path: str, size: int) -> bytes | None:  # noqa: ARG002
        """Give None: a whole file is read at once, and checked as a whole."""
        return None

    def publish(self, path: str, data: bytes, *, heal: bool = False) -> None:
        """Write a temporary file beside the target, make it durable, then give it its name."""
        target = self._inside(path)
        with explained(target, len(data)):
            self._settle(target.parent)
        publish(target, data, durability=self._durability, heal=heal)

    def _settle(self, folder: Path) -> None:
        """Make a folder; put its name on the disk even when another made it, who may have been stopped before that."""
        make_folder(folder, self._durability)
        if folder not in self._settled:
            for parent in (folder, *folder.parents):
                if parent == self.root:
                    break
                sync(parent.parent, self._durability)
            self._settled.add(folder)

    def move(self, path: str, target: str) -> None:
        """Rename, within one file system."""
        source, destination = self._inside(path), self._inside(target)
        with explained(destination, 0):
            self._settle(destination.parent)
            try:
                os.rename(source, destination)  # noqa: PTH104 (one `os` for all steps lets the tests fail each of them)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                raise UnsupportedStore(
                    f"expected {self.shown(path)} and {self.shown(target)} on one file system, found two; "
                    "mount the store as a whole"
                ) from error
            sync(destination.parent, self._durability)
            sync(source.parent, self._durability)

    def remove(self, path: str) -> None:
        """Unlink."""
        place = self._inside(path)
        with explained(place, 0):
            place.unlink(missing_ok=True)

    def probe_writable(self, folder: str) -> None:
        """Write and remove a file in the folder, or in its nearest existing ancestor."""
        probe_writable(self.root / folder)

    def uploads(self) -> list[str]:
        """Give none: what is unfinished here is a temporary file."""
        return []

    def now(self) -> float:
        """Write a file and read its time, which a shared file system takes from its server."""
        with explained(self.root, 0):
            make_folder(self.root, self._durability)
            probe = temporary_beside(self.root / "clock")
            try:
                probe.write_bytes(b"?")
                return probe.stat().st_mtime
            finally:
                probe.unlink(missing_ok=True)


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
