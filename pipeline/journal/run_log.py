"""The structured log of runs: one JSON object a line, whole lines only, bounded, and without secrets."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.files.reading import read_regular

LARGEST = 8 << 20
"""Bytes after which a log is put aside as `<name>.1`, in place of the one that was put aside before."""

_LONGEST, _MOST = 1000, 40  # characters of a text, entries of a mapping: no line grows without end
_LOGIN = re.compile(r"(?<=://)[^/\s@'\"]+@")
_SIGNED = re.compile(r"(?i)([?&;][^=\s&]*(?:token|secret|signature|password|credential|key)[^=\s&]*=)[^&\s'\"]+")
_NAMED_SECRET = re.compile(r"(?i)secret|token|password|passwd|credential|access_key|api_?key")
_SHORTEST_SECRET = 6  # a shorter value would blot out ordinary words


@dataclass(frozen=True)
class RunLog:
    """One file to which any number of processes append at the same time.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    """

    path: Path

    @property
    def older(self) -> Path:
        """Where the log goes that has become too long."""
        return self.path.with_name(f"{self.path.name}.1")

    def append(self, line: Mapping[str, Any], largest: int = LARGEST) -> None:
        """Add one line, in one write.

        Parameters
        ----------
        line : mapping
            Plain JSON values; texts are cut, and rid of what looks like a secret.
        largest : int
            In bytes; see `LARGEST`.

        Raises
        ------
        OSError
            When the file cannot be written, or is none.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = (json.dumps(_plain(line, _secrets(os.environ)), ensure_ascii=False) + "\n").encode("utf-8", "replace")
        file = self._open(largest)
        try:
            os.write(file, data)  # to the end of the file and in one piece: lines of several processes never mix
        finally:
            os.close(file)

    def _open(self, largest: int) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(self.path, flags, 0o644)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise OSError(f"expected a regular file for the log at {self.path}")
        if found.st_size < largest:
            return file
        try:
            self._put_aside(file)
        finally:
            os.close(file)
        return os.open(self.path, flags, 0o644)

    def _put_aside(self, file: int) -> None:
        """Rename the open log, unless another process has done so already."""
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            here = self.path.lstat()
        except FileNotFoundError:
            return
        if os.path.samestat(here, os.fstat(file)):
            self.path.replace(self.older)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield what was written, oldest first; what is no line of ours is passed over."""
        for path in (self.older, self.path):
            try:
                text = read_regular(path, 4 * LARGEST).decode("utf-8", "replace")
            except (OSError, ValueError):
                continue
            for line in text.splitlines():
                try:
                    content = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(content, dict) and isinstance(content.get("fields"), dict):
                    yield content


def now() -> str:
    """Return this moment in UTC, to the millisecond, as 2026-01-31T12:00:00.000Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def scrubbed(text: str, environment: Mapping[str, str]) -> str:
    """Blot out logins and signatures in URLs, and the values of variables whose names say that they are secret."""
    return _blotted(text, _secrets(environment))


def _secrets(environment: Mapping[str, str]) -> list[str]:
    named = (value for name, value in environment.items() if _NAMED_SECRET.search(name))
    return [value for value in named if len(value) >= _SHORTEST_SECRET]


def _blotted(text: str, secrets: list[str]) -> str:
    for value in secrets:
        text = text.replace(value, "***")
    return _SIGNED.sub(r"\1***", _LOGIN.sub("***@", text))


def _plain(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, Mapping):
        kept = list(value.items())[:_MOST]
        return {_plain(str(name), secrets): _plain(each, secrets) for name, each in kept}
    if isinstance(value, str):
        text = _blotted(value, secrets)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    if isinstance(value, int | float | None) and (value is None or math.isfinite(value)):
        return value
    return _plain(str(value), secrets)
