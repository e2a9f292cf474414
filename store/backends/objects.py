"""A store in an object storage through fsspec: `s3://` and what speaks its protocol, `memory://` in tests.

An object appears whole or not at all, so publishing is one request. Names of segments are digests: whether the storage
honours "only if it is not there yet" saves work and decides nothing, and after an unclear answer what lies there does.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fsspec import AbstractFileSystem

from store.backends.protocol import Entry
from store.errors import StoreError, StoreFull, StoreNotReadable, StoreNotWritable, StoreUnreachable
from store.files.reading import printable

_T = TypeVar("_T")
_LOG = logging.getLogger("diptych.store")
_TEMPORARY = ".tmp-"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
# Answers that another attempt would not change.
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
# What comes through as it is when a server cannot be reached; by name, because the packages of S3 are optional.
_NO_CONNECTION = {"botocore.exceptions.ConnectionError", "botocore.exceptions.HTTPClientError"}
_ATTEMPTS = 6
_FIRST_PAUSE = 0.05  # seconds; doubled after each attempt, so about 1.6 s in all


class ObjectBackend:
    """A prefix of an object storage; implements `protocol.Backend`.

    Parameters
    ----------
    files : AbstractFileSystem
        Without a cache of listings: a cached one hides what others have just written.
    prefix : str
        Bucket and folder, as `files` takes them.
    address : str
        For messages; without credentials.
    """

    def __init__(self, files: AbstractFileSystem, prefix: str, address: str) -> None:
        self._fs = files
        self._prefix = prefix.rstrip("/")
        self._address = address.rstrip("/")
        self._bucket_seen = False

    @property
    def address(self) -> str:
        """The URL."""
        return self._address

    def shown(self, path: str) -> str:
        """Give the URL of a path."""
        return printable(f"{self._address}/{path}")

    def exists(self, folder: str) -> bool:
        """Tell whether anything lies below the folder; what is left of a probe is nothing."""
        return any(not _last(each).startswith(_TEMPORARY) for each in self._list(folder))

    def files(self, folder: str) -> list[Entry]:
        """List objects; one request for each thousand."""
        found = [
            Entry(_last(each), int(each["size"] or 0), _modified(each))
            for each in self._list(folder)
            if each["type"] == "file"
        ]
        return sorted(found, key=lambda entry: entry.name)

    def folders(self, folder: str) -> list[str]:
        """List common prefixes; hidden names are left out."""
        names = (_last(each) for each in self._list(folder) if _is_folder(each))
        return sorted(name for name in names if not name.startswith("."))

    def read(self, path: str, limit: int) -> bytes:
        """Read an object; never more than `limit` bytes of it cross the network."""
        data = self._tried(path, lambda: self._get(path, limit + 1))
        if len(data) > limit:
            raise ValueError(f"expected at most {limit} bytes in {self.shown(path)}, found more")
        return data

    def read_start(self, path: str, size: int) -> bytes | None:
        """Read a range, so that looking keys up does not load the vectors."""
        return self._tried(path, lambda: self._get(path, size))

    def publish(self, path: str, data: bytes, *, heal: bool = False) -> None:
        """Put one object in one request."""
        if not heal:
            # Some storages ignore "only if it is not there yet": what lies there already is seen here.
            found = self._holds(path, data)
            if found:
                return
            if found is False:
                raise _taken(path)
        try:
            self._tried(path, lambda: self._put(path, data, "create"), len(data), writes=True)
        except FileExistsError:
            if not heal:
                raise
            self._tried(path, lambda: self._put(path, data, "overwrite"), len(data), writes=True)

    def _put(self, path: str, data: bytes, mode: str) -> None:
        try:
            self._fs.pipe_file(self._full(path), data, mode=mode)
        except Exception as error:
            if isinstance(error, FileNotFoundError):
                raise _unreachable(self._address, "a bucket that exists", error) from error
            # The answer may be lost although the object was stored, and an earlier attempt of ours may be what is met.
            found = self._holds(path, data)
            if found:
                return
            if found is False and mode == "create" and not isinstance(error, PermissionError):
                # Not every storage says so in words that fsspec understands.
                raise _taken(path) from error
            raise

    def _holds(self, path: str, data: bytes) -> bool | None:
        """Tell whether these bytes lie there; None when nothing does, or it cannot be seen."""
        try:
            return self._get(path, len(data) + 1) == data
        except Exception:  # noqa: BLE001 (whatever hinders the look: not seen to be there)
            return None

    def _get(self, path: str, count: int) -> bytes:
        """Give the first `count` bytes of an object."""
        try:
            data: bytes = self._fs.cat_file(self._full(path), start=0, end=count)
        except OSError as error:
            # S3 has no first byte to give of an object of none, and calls the range invalid.
            if error.errno == errno.EINVAL and self._fs.info(self._full(path))["size"] == 0:
                return b""
            raise
        return data

    def move(self, path: str, target: str) -> None:
        """Copy, look at the copy, and only then delete."""
        data_size = self._tried(path, lambda: self._fs.info(self._full(path)))["size"]
        if path == target:  # the copy would be the original that is deleted below
            return
        self._tried(path, lambda: self._fs.cp_file(self._full(path), self._full(target)), writes=True)
        found = self._tried(target, lambda: self._fs.info(self._full(target)))["size"]
        if found != data_size:
            raise StoreUnreachable(
                f"expected a copy of {data_size} bytes at {self.shown(target)}, found {found}; run again"
            )
        self.remove(path)

    def remove(self, path: str) -> None:
        """Delete one object."""
        with contextlib.suppress(FileNotFoundError):
            self._tried(path, lambda: self._fs.rm_file(self._full(path)), writes=True)

    def probe_writable(self, folder: str) -> None:
        """Put a small object; it stays when we may write but not delete, and readers ignore it."""
        probe = f"{folder}/{_TEMPORARY}probe-{uuid.uuid4().hex}"
        self.publish(probe, b"?")
        with contextlib.suppress(StoreError):
            self.remove(probe)

    def uploads(self) -> list[str]:
        """List unfinished multipart uploads below the prefix, where the storage knows of such."""
        listing = getattr(self._fs, "list_multipart_uploads", None)
        if listing is None:
            return []
        bucket, _, folder = self._prefix.partition("/")
        found = self._tried("", lambda: listing(bucket))
        below = f"{folder}/" if folder else ""
        return sorted(str(each["Key"]) for each in found if str(each["Key"]).startswith(below))

    def now(self) -> float:
        """Put a small object and read the time that the storage gave it."""
        probe = f"{_TEMPORARY}clock-{uuid.uuid4().hex}"
        self.publish(probe, b"?")
        try:
            return _modified(self._tried(probe, lambda: self._fs.info(self._full(probe))))
        finally:
            with contextlib.suppress(StoreError):
                self.remove(probe)

    def _full(self, path: str) -> str:
        return f"{self._prefix}/{path}" if path else self._prefix

    def _list(self, folder: str) -> list[dict[str, Any]]:
        full = self._full(folder)
        try:
            found = self._tried(folder, lambda: self._fs.ls(full, detail=True, refresh=True))
        except FileNotFoundError:
            self._require_bucket()
            return []
        # Some storages list a marker object for the folder itself.
        return [each for each in found if str(each["name"]).strip("/") != full.strip("/")]

    def _require_bucket(self) -> None:
        """Tell an empty store from a misspelt bucket, once.

        Raises
        ------
        StoreUnreachable
            When the storage says that there is no such bucket.
        """
        ask = getattr(self._fs, "call_s3", None)
        if self._bucket_seen or ask is None:
            return
        try:
            self._tried("", lambda: ask("head_bucket", Bucket=self._prefix.partition("/")[0]))
        except FileNotFoundError as error:
            raise _unreachable(self._address, "a bucket that exists", error) from error
        except StoreNotReadable:  # the right to look at the bucket itself is not needed
            pass
        self._bucket_seen = True

    def _tried(self, path: str, action: Callable[[], _T], size: int = 0, *, writes: bool = False) -> _T:
        """Act, again after a pause when the storage is busy or unreachable, and explain what stays wrong."""
        with self._explained(path, size, writes):
            for attempt in range(_ATTEMPTS - 1):
                try:
                    return action()
                except _FINAL:
                    raise
                except Exception as error:
                    if not _may_pass(error):
                        raise
                    _LOG.warning(
                        "waiting for %s (attempt %d of %d): %s", self.address, attempt + 1, _ATTEMPTS, _short(error)
                    )
                    # Some jitter, so that many writers do not come back at the same moment.
                    time.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
            return action()

    @contextlib.contextmanager
    def _explained(self, path: str, size: int, writes: bool) -> Iterator[None]:
        try:
            yield
        except (StoreError, FileNotFoundError, FileExistsError):
            raise
        except PermissionError as error:
            kind, what = (StoreNotWritable, "write") if writes else (StoreNotReadable, "read")
            raise kind(
                f"expected the right to {what} {self.shown(path)}, found none ({error}); "
                "renew the credentials, or ask for this right"
            ) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise StoreFull(
                    f"expected room for {size} bytes at {self.shown(path)}, found none ({error}); free some space"
                ) from error
            # Not every client error is an OSError: botocore has a tree of its own.
            # A ValueError comes from an endpoint that is no URL.
            ours = type(error).__module__.startswith(("botocore", "aiobotocore", "aiohttp"))
            if ours or isinstance(error, OSError | ValueError):
                raise _unreachable(self.shown(path), "the storage to answer", error) from error
            raise


def _short(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}"[:200])


def _may_pass(error: Exception) -> bool:
    """Tell whether another attempt may go better: a request that failed, but not a wrong one or a missing key."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(kinds & _NO_CONNECTION)


def _taken(path: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "the name is taken by other content", path)


def _unreachable(where: str, expected: str, error: Exception) -> StoreUnreachable:
    return StoreUnreachable(
        f"expected {expected} at {where}, found {type(error).__name__}: {error}; "
        "correct the address, the endpoint (AWS_ENDPOINT_URL) or the credentials, and run again"
    )


def _last(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _is_folder(entry: dict[str, Any]) -> bool:
    return str(entry["type"]) == "directory"


def _modified(entry: dict[str, Any]) -> float:
    for name in ("LastModified", "modified", "created", "mtime"):
        value = entry.get(name)
        if isinstance(value, datetime.datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    raise StoreUnreachable(f"expected the time of {entry.get('name')!r} from the storage, found none; use another one")
