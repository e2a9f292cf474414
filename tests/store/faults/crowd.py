"""Many processes on one store for some seconds: crowd.py ROOT PROCESSES SECONDS.

First all write and read at once, on keys that overlap and with vectors that differ in the last digits, as those of two
machines do. Then all look up everything. Prints what each stored and what each then read. A process of its own, because
a test process may have threads and must not fork.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from store import FeatureStore, Fingerprint, content_key, key_array

FINGERPRINT = Fingerprint.of("crowd", {"weights": "00"})
DIM = 4
KEYS = 600
WINDOW = 24
TOLERANCE = 1e-4


def rows(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.arange(start, stop)
    keys = key_array([content_key("test", str(number).encode()) for number in numbers])
    return keys, (np.cos(numbers[:, None] + np.arange(DIM)) + 2).astype("f4")


def open_store(root: Path, writer: int) -> FeatureStore:
    """Every second process remembers key tables, two and two in one place."""
    cache = root.parent / f"cache-{writer // 4}" if writer % 2 else None
    return FeatureStore(root, segment_format=("zarr.zip", "h5")[writer % 2], durability="none", cache=cache)


def write(root: Path, writer: int, seconds: float) -> list[int]:
    """Look up, store what is missing, read back, again and again; give the numbers stored."""
    generator = np.random.default_rng(writer)
    stored: list[int] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        log = open_store(root, writer).open(FINGERPRINT, DIM, "float32")
        start = int(generator.integers(0, KEYS - WINDOW))
        keys, vectors = rows(start, start + WINDOW)
        missing = np.flatnonzero(~log.locate(keys).found)
        if len(missing):
            log.append(keys[missing], vectors[missing] + np.float32(writer * 1e-6), {"writer": writer})
            stored += (missing + start).tolist()
        found = log.locate(keys)
        if found.corrupt or not found.found.all():
            raise AssertionError("a row that this process has seen or stored is missing")
        np.testing.assert_allclose(log.read(found, slice(None)), vectors, atol=TOLERANCE)
    return stored


def read(root: Path, reader: int) -> str:
    """Give a digest of which rows are there and what they are."""
    keys, vectors = rows(0, KEYS)
    log = open_store(root, reader).open(FINGERPRINT, DIM, "float32")
    found = log.locate(keys)
    here = np.flatnonzero(found.found)
    values = log.read(found, here)
    np.testing.assert_allclose(values, vectors[here], atol=TOLERANCE)
    return hashlib.sha256(here.tobytes() + values.tobytes()).hexdigest()


def together(count: int, folder: Path, act: Callable[[int], object]) -> list[object]:
    """Act in `count` processes at once; give what each returned."""
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                (folder / str(number)).write_text(json.dumps(act(number)))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(statuses):
        raise AssertionError(f"expected all to end well, found {statuses}")
    return [json.loads((folder / str(number)).read_text()) for number in range(count)]


def main(root: Path, count: int, seconds: float) -> None:
    stored = together(count, root.parent, lambda number: write(root, number, seconds))
    seen = together(count, root.parent, lambda number: read(root, number))
    print(json.dumps({"stored": stored, "seen": seen}))  # noqa: T201 (what the parent reads)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
