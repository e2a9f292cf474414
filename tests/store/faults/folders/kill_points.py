"""Appends rows in a child that dies at its Nth call of `os`, for every N: kill_points.py FOLDER.

Prints the exit status of each child; child N worked on FOLDER/N. A process of its own, because a test process may have
threads and must not fork.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from store import FeatureStore, Fingerprint, content_key, key_array
from store.backends import local
from store.files import publish

FINGERPRINT = Fingerprint.of("killed", {"weights": "00"})
DIM = 4
DIED = 9


class DeadlyOs:
    """Stands in for `os`: ends the process, with no clean-up at all, in place of the Nth call that touches the disk."""

    def __init__(self, last: int) -> None:
        self._left = last

    def __getattr__(self, name: str):
        real = getattr(os, name)
        if name not in ("open", "write", "fsync", "fstat", "link", "replace", "mkdir", "unlink", "close", "rename"):
            return real

        def call(*args, **kwargs):
            self._left -= 1
            if self._left < 0:
                os._exit(DIED)
            return real(*args, **kwargs)

        return call


def rows(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.arange(start, stop)
    keys = key_array([content_key("test", str(number).encode()) for number in numbers])
    return keys, (np.cos(numbers[:, None] + np.arange(DIM)) + 2).astype("f4")


def work(root: Path) -> None:
    log = FeatureStore(root).open(FINGERPRINT, DIM, "float32")
    log.append(*rows(0, 10), {})
    log.append(*rows(10, 20), {})
    log.files.backend.move("v1/old", "trash/2026-01-01/old")


def main(folder: Path) -> None:
    statuses: list[int] = []
    while not statuses or statuses[-1] != 0:
        root = folder / str(len(statuses))
        (root / "v1").mkdir(parents=True)
        (root / "v1" / "old").write_bytes(b"old")
        child = os.fork()
        if child == 0:
            publish.os = local.os = DeadlyOs(len(statuses))
            work(root)
            os._exit(0)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(statuses))  # noqa: T201 (what the parent reads)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
