"""Where a store's files lie: the few operations that a folder and an object store can both promise.

`local` and `objects` implement them; everything else in the store sees paths below the root, such as
``v1/<encoder>/segments/<name>``, and never a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    """One file of a listing.

    Attributes
    ----------
    name : str
        Its last path component, as found: it may hold anything.
    size : int
        Bytes.
    modified : float
        Seconds since 1970 by the clock of the storage, never by ours.
    """

    name: str
    size: int
    modified: float


class Backend(Protocol):
    """One root on some storage. Every path is relative to it, with ``/`` between its parts.

    Every method may raise `StoreUnreachable` (the storage does not answer), `StoreNotWritable` or `StoreFull`.
    """

    @property
    def address(self) -> str:
        """The root as a person would type it; it never holds a secret."""
        ...

    def shown(self, path: str) -> str:
        """Give `path` in full, for messages: control characters are escaped."""
        ...

    def exists(self, folder: str) -> bool:
        """Tell whether the folder is there (on an object store: whether anything lies below it)."""
        ...

    def files(self, folder: str) -> list[Entry]:
        """List what lies directly in `folder` and is no folder, sorted by name; [] when there is no such folder."""
        ...

    def folders(self, folder: str) -> list[str]:
        """List the names of the folders directly in `folder`, sorted, links and hidden ones left out."""
        ...

    def read(self, path: str, limit: int) -> bytes:
        """Read a whole file of at most `limit` bytes.

        Raises
        ------
        FileNotFoundError
            When there is none.
        ValueError
            When it is larger, or no regular file.
        OSError
            When it cannot be read.
        """
        ...

    def read_start(self, path: str, size: int) -> bytes | None:
        """Read the first `size` bytes, or None where reading whole files is as good: then call `read`.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        """
        ...

    def publish(self, path: str, data: bytes, *, heal: bool = False) -> None:
        """Put `data` under `path` so that every reader sees all of it or nothing; the same bytes again succeed.

        Parameters
        ----------
        heal : bool
            When other content lies there, replace it (right when the name is a digest of `data`) instead of raising.

        Raises
        ------
        FileExistsError
            When other content lies there and `heal` is off.
        """
        ...

    def move(self, path: str, target: str) -> None:
        """Give a file another name, whatever lies there; at no moment is it under neither of the two.

        Raises
        ------
        FileNotFoundError
            When there is none.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""
        ...

    def probe_writable(self, folder: str) -> None:
        """Write and remove a small file in `folder`, before hours of work depend on it."""
        ...

    def uploads(self) -> list[str]:
        """List unfinished uploads, which no reader sees and somebody pays for; [] where there is no such thing."""
        ...

    def now(self) -> float:
        """Read the storage's own clock, in seconds since 1970, from a file just written there."""
        ...
