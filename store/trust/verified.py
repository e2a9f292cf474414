"""Remembers on disk which files were verified, so that a matrix of gigabytes is hashed once and not at every open.

A file counts as the one that was verified while path, device, inode, size and both times are the same; whatever else
is found, a garbled entry as well as none, only means that `opening` verifies again. What nothing here can see is a disk
that loses bytes of a file nobody wrote to: opening without a memory reads everything.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from store.files.plain_json import canonical_json, parse_document
from store.files.publish import atomic_output
from store.files.reading import read_regular

_SCHEMA = 1
_SUFFIX = ".verified.json"
_ENTRY_BYTES = 1 << 14
# As with git's index: within one tick of a file system's clock (2 s on FAT) a rewrite leaves the times as they are.
_TICK_NS = 2_000_000_000
_MOST_ENTRIES = 1000
_FORGOTTEN_SECONDS = 3600
# What a file system that cannot be written answers to fsync: all it holds is on the disk already.
_NOTHING_TO_SYNC = {errno.EROFS, errno.EINVAL}


@dataclass(frozen=True)
class FileStamp:
    """What the system says of an open file; a change of content changes it, unless it comes within one clock tick."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> FileStamp:
        """Ask the open file, not its name, which may mean another file a moment later."""
        status = os.fstat(descriptor)
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def settled(self) -> bool:
        """Tell whether a later rewrite must show in the stamp.

        Judged by the local clock: on a shared file system whose own clock is seconds behind, the rule protects less.
        """
        return max(self.mtime_ns, self.ctime_ns) < time.time_ns() - _TICK_NS


class VerifiedFiles:
    """The memory in one folder, made when first needed; any number of processes may share it.

    Parameters
    ----------
    folder : Path
        A folder that cannot be written is no error: nothing is remembered then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def knows(self, path: Path, stamp: FileStamp, digest: str, version: object, part: str = "") -> bool:
        """Tell whether this very file, or the named part of it, was verified to have this digest."""
        try:
            entry, expected = self._entry(path, stamp, digest, version, part)
            return read_regular(entry, _ENTRY_BYTES) == expected
        except (OSError, ValueError):
            return False

    def remember(self, path: Path, stamp: FileStamp, digest: str, version: object, part: str = "") -> None:
        """Note that the file, or the named part of it, was verified.

        Not if it changed meanwhile, or is too young for a change to show.
        """
        # A path that is no UTF-8 is a ValueError: such a file is verified each time.
        with contextlib.suppress(OSError, ValueError):
            if not (stamp.settled() and _on_disk(path, stamp)):
                return
            entry, content = self._entry(path, stamp, digest, version, part)
            if len(content) > _ENTRY_BYTES:
                return
            with atomic_output(entry, expected_bytes=len(content), durability="none") as temporary:
                temporary.write_bytes(content)
            self._prune(entry)

    def _entry(self, path: Path, stamp: FileStamp, digest: str, version: object, part: str = "") -> tuple[Path, bytes]:
        place = os.path.realpath(path)
        # A part has an entry of its own; no path holds a NUL.
        name = hashlib.sha256(os.fsencode(f"{place}\0{part}" if part else place)).hexdigest()[:32] + _SUFFIX
        about = {"schema": _SCHEMA, "path": place, "digest": digest, "format_version": version}
        if part:
            about["part"] = part
        return self._folder / name, canonical_json({**about, **asdict(stamp)})

    def _prune(self, newest: Path) -> None:
        """Drop entries of files that are gone, what killed writers left, and the oldest of too many.

        Comes after a whole matrix was hashed, beside which a look at some small files is nothing.
        """
        now = newest.stat().st_mtime  # this folder's own clock
        entries = []
        for entry in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if entry.name.endswith(_SUFFIX) and _still_of_use(entry):
                    entries.append((entry.stat().st_mtime, entry))
                elif entry.name.endswith(_SUFFIX) or (
                    entry.name.startswith(".tmp-") and entry.stat().st_mtime < now - _FORGOTTEN_SECONDS
                ):
                    entry.unlink()
        for _, entry in sorted(entries, reverse=True)[_MOST_ENTRIES:]:
            with contextlib.suppress(OSError):
                entry.unlink()


def _on_disk(path: Path, stamp: FileStamp) -> bool:
    """Bring the file's content to the disk, since a page that a power cut takes away would not show in the stamp."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOTHING_TO_SYNC:
            raise
    try:
        return FileStamp.of(descriptor) == stamp
    finally:
        os.close(descriptor)


def _still_of_use(entry: Path) -> bool:
    try:
        place = parse_document(read_regular(entry, _ENTRY_BYTES)).get("path")
        return isinstance(place, str) and os.path.lexists(place)
    except ValueError:
        return False


class _Process:
    """What `remember_verifications` set."""

    memory: VerifiedFiles | None = None


def remember_verifications(folder: Path | None) -> None:
    """Set where this process remembers verified files when `open_matrix` is given no folder; None: nowhere.

    A setting of the process and not a parameter of every function between the command line and `open_matrix`: it
    belongs to the machine, as the device does, but decides only how long an open takes, never what is read. Off until
    somebody calls this, so that a library call writes nowhere unasked.
    """
    _Process.memory = None if folder is None else VerifiedFiles(folder.absolute())


def memory_in(folder: Path | None) -> VerifiedFiles | None:
    """Give the memory in a folder, or the process's own."""
    return _Process.memory if folder is None else VerifiedFiles(folder)
