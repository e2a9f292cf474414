"""Puts finished bytes under a final name, whole or not at all: whatever a store or a stage writes goes through here.

The order is what survives a power cut: a temporary file in the same folder, its bytes on the disk, then the name, then
the folder on the disk. No locks: names of segments are digests, so two writers of one name write the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from store.errors import StoreError, StoreFull, StoreNotWritable
from store.files.reading import read_regular

Durability = Literal["full", "none"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
# What file systems without hard links answer to link(); a plain rename does the same there.
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def publish(path: Path, data: bytes, *, durability: Durability = "full", heal: bool = False) -> None:
    """Write `data` under `path` so that every reader sees all of it or nothing.

    Publishing the same bytes again succeeds.

    Parameters
    ----------
    path : Path
        The final name; missing folders above it are made.
    data : bytes
        The whole content.
    durability : {"full", "none"}
        "none" skips fsync: for tests only.
    heal : bool
        When the name exists with other content, replace that content (right when the name is a digest of `data`)
        instead of raising.

    Raises
    ------
    FileExistsError
        When the name exists with other content and `heal` is off.
    StoreFull, StoreNotWritable
        When the disk is full or the folder refuses writing.
    """
    with explained(path, len(data)):
        make_folder(path.parent, durability)
        temporary = temporary_beside(path)
        try:
            _write_durably(temporary, data, durability)
            _give_name(temporary, path, data, heal)
            sync(path.parent, durability)
        finally:
            _discard(temporary)


@contextlib.contextmanager
def atomic_output(path: Path, *, expected_bytes: int = 0, durability: Durability = "full") -> Iterator[Path]:
    """Lend a temporary name beside `path`; when the body ends well, it becomes `path` in one step.

    Parameters
    ----------
    path : Path
        The final name: never partial, and untouched when the body raises.
    expected_bytes : int
        How much is going to be written, for the message of `StoreFull`.
    durability : {"full", "none"}
        "none" skips fsync: for tests, and for what the next run makes again.

    Yields
    ------
    Path
        The temporary name, an empty regular file that the body fills or replaces.

    Raises
    ------
    StoreFull, StoreNotWritable
        When the disk is full or the folder refuses writing.
    """
    with explained(path, expected_bytes):
        make_folder(path.parent, durability)
    with temporary_output(path, expected_bytes=expected_bytes) as temporary:
        yield temporary
        put_in_place(temporary, path, expected_bytes=expected_bytes, durability=durability)


@contextlib.contextmanager
def temporary_output(path: Path, *, expected_bytes: int = 0) -> Iterator[Path]:
    """Lend a temporary name beside `path`, for a body that learns the final name late and calls `put_in_place`.

    What is not put in place is gone when the body ends. The folder must be there; else as `atomic_output`.

    Raises
    ------
    FileNotFoundError
        When there is no folder.
    """
    temporary = temporary_beside(path)
    with explained(path, expected_bytes):
        os.close(os.open(temporary, _CREATE, 0o666))
    try:
        # The body also reads what the caller streams in, so only a full disk is surely about this file.
        with explained(path, expected_bytes, rights=False):
            yield temporary
    finally:
        _discard(temporary)


def put_in_place(temporary: Path, path: Path, *, expected_bytes: int = 0, durability: Durability = "full") -> None:
    """Give a finished temporary file its name, in one step and for good; what stood there is replaced.

    Raises
    ------
    StoreFull, StoreNotWritable
        When the disk is full or the folder refuses writing.
    """
    with explained(path, expected_bytes):
        sync(temporary, durability)
        os.replace(temporary, path)  # noqa: PTH105 (one `os` for all steps lets the tests fail each of them)
        sync(path.parent, durability)


def probe_writable(folder: Path) -> None:
    """Try to create a file in `folder`, or in its nearest existing ancestor, before hours of work depend on it.

    Raises
    ------
    StoreFull, StoreNotWritable
        When that fails. Nothing is left behind.
    """
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    probe = temporary_beside(nearest / "probe")
    with explained(folder, 1):
        try:
            _write_durably(probe, b"?", "none")
        except FileNotFoundError as error:  # such as /proc, a folder that takes no files
            raise StoreNotWritable(
                f"expected a folder that takes new files at {folder}, found {nearest}, which does not; name another"
            ) from error
        finally:
            _discard(probe)


def make_folder(folder: Path, durability: Durability) -> None:
    """Create `folder` and what is missing above it, each made durable in its parent."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another writer was faster
            os.mkdir(parent, 0o777)  # noqa: PTH102
        sync(parent.parent, durability)


def temporary_beside(path: Path) -> Path:
    """Name a temporary file that no other process, thread or host uses, in the folder of `path`."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:40]
    return path.parent / f".tmp-{host}-{os.getpid()}-{uuid.uuid4().hex}"


def _write_durably(path: Path, data: bytes, durability: Durability) -> None:
    descriptor = os.open(path, _CREATE, 0o666)  # the umask decides, so a shared folder stays shared
    try:
        rest = memoryview(data)
        while rest:
            written = os.write(descriptor, rest)
            if written == 0:
                raise OSError(errno.EIO, "the file system accepted no bytes", str(path))
            rest = rest[written:]
        if durability == "full":
            os.fsync(descriptor)
        found = os.fstat(descriptor).st_size
        if found != len(data):
            raise OSError(errno.EIO, f"expected {len(data)} bytes on disk, found {found}", str(path))
    finally:
        os.close(descriptor)


def _give_name(temporary: Path, path: Path, data: bytes, heal: bool) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, never replaces what is there
    except OSError as error:
        # Also after an error a network file system may have made the link: what lies there decides.
        if _holds(path, data):
            return
        exists = os.path.lexists(path)
        if exists and not heal:
            raise FileExistsError(errno.EEXIST, "the name is taken by other content", str(path)) from error
        if not exists and error.errno not in _NO_LINKS:
            raise
        os.replace(temporary, path)  # noqa: PTH105


def _holds(path: Path, data: bytes) -> bool:
    try:
        return read_regular(path, len(data)) == data
    except (OSError, ValueError):
        return False


def sync(path: Path, durability: Durability) -> None:
    """Put a file's bytes, or a folder's names, on the disk itself."""
    if durability == "none":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems, SMB among them, have no such call for folders: their server does it, or nobody can.
        if error.errno not in _NO_SYNC or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise
    finally:
        os.close(descriptor)


def _discard(temporary: Path) -> None:
    # A temporary file left behind is ignored by readers; failing to remove it must not hide the first error.
    with contextlib.suppress(OSError):
        os.unlink(temporary)  # noqa: PTH108


@contextlib.contextmanager
def explained(path: Path, size: int, *, rights: bool = True) -> Iterator[None]:
    """Turn a full disk and a missing right into errors that say where, how much and what to do."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            room = f"room for {size} bytes" if size else "room"
            raise StoreFull(
                f"expected {room} at {path}, found none ({error.strerror}); free some space or choose another place"
            ) from error
        if rights and error.errno in _NO_RIGHT:
            raise StoreNotWritable(
                f"expected to write {path}, found no right to ({error.strerror}); "
                "ask for write access or choose another place"
            ) from error
        raise
