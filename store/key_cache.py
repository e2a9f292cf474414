"""Remembers on this machine the key tables of segments that were read and verified, so that a lookup reads no vectors.

Only a cache: every file carries its segment's name and a checksum, and whatever does not match is made again. Two
processes may use it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path

from store.errors import StoreError
from store.key_table import BYTES_PER_ROW, KeyTable
from store.publish import publish
from store.regular_file import read_regular
from store.segment import SegmentName

_LOG = logging.getLogger("diptych.store")
_SUFFIX = ".keys"
_OVERHEAD_BYTES = 512


class KeyCache:
    """The key tables of one encoder's segments.

    Parameters
    ----------
    folder : Path or None
        Where they are kept; None keeps nothing. A folder that cannot be written costs time and nothing else.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def below(cls, root: Path | None, address: str, encoder_folder: str) -> KeyCache:
        """Choose the folder of one encoder of one store, so that what is gone from it can be dropped."""
        if root is None:
            return cls(None)
        # "store" is another folder in each project: dropping what is gone from one must not empty the other's tables.
        whole = address if "://" in address else str(Path(address).absolute())
        return cls(root / hashlib.sha256(whole.encode()).hexdigest()[:16] / encoder_folder)

    def get(self, name: SegmentName) -> KeyTable | None:
        """Give a segment's table; None when it is not there or damaged."""
        if self._folder is None:
            return None
        limit = name.rows * BYTES_PER_ROW + _OVERHEAD_BYTES
        try:
            return KeyTable.from_bytes(read_regular(self._file(str(name)), limit), str(name), name.rows)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.info("the local index is made again: %s", error)
            return None

    def put(self, name: SegmentName, table: KeyTable) -> None:
        """Keep a table."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError, StoreError):  # a read-only or full disk: the next lookup reads the segment
            publish(self._file(str(name)), table.to_bytes(str(name)), durability="none", heal=True)

    def drop(self, name: str) -> None:
        """Forget a segment's table."""
        if self._folder is not None and SegmentName.parse(name) is not None:
            with contextlib.suppress(OSError):
                self._file(name).unlink(missing_ok=True)

    def keep_only(self, names: set[str]) -> None:
        """Forget the tables of segments that are no longer there."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"*{_SUFFIX}"):
                if path.name.removesuffix(_SUFFIX) not in names:
                    path.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        assert self._folder is not None  # noqa: S101 (for mypy: the callers have looked)
        return self._folder / f"{name}{_SUFFIX}"
