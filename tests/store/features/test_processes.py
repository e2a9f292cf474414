"""Several real processes on one store: no row is lost, none is wrong, and a killed writer leaves no trace."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from store import FeatureStore, Fingerprint, content_key, key_array, verify

FINGERPRINT = Fingerprint.of("tiny", {"weights": "00"})
DIM = 4
# "fork" would copy the threads of numpy's and hypothesis' parent; a fresh interpreter is what a team-mate's process is.
CONTEXT = multiprocessing.get_context("forkserver")


def rows(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.arange(start, stop)
    keys = key_array([content_key("test", str(number).encode()) for number in numbers])
    return keys, (np.cos(numbers[:, None] + np.arange(DIM)) + 2).astype("f4")


def open_log(root: Path):
    return FeatureStore(root, durability="none").open(FINGERPRINT, DIM, "float32")


def append_batches(root: Path, start: int, batches: int, writer: int) -> None:
    log = open_log(root)
    for batch in range(batches):
        first = start + batch * 10
        log.append(*rows(first, first + 10), {"writer": writer})
        found = log.locate(rows(start, first + 10)[0])
        if not found.found.all() or found.corrupt:
            raise AssertionError("a row that this process has stored is missing")


def append_for_ever(root: Path, started) -> None:
    log, first = open_log(root), 0
    while True:
        log.append(*rows(first, first + 5), {})
        started.set()
        first = (first + 5) % 1000


def append_under_a_size_limit(root: Path, queue) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    log = open_log(root)
    log.append(*rows(0, 10), {})
    try:
        log.append(*rows(10, 2000), {})
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent waits for it)
        queue.put(repr(error))


def test_writers_of_overlapping_rows_never_meet(tmp_path):
    writers = [
        CONTEXT.Process(target=append_batches, args=(tmp_path, start, 6, number))
        for number, start in enumerate((0, 20, 40, 20))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    keys, vectors = rows(0, 100)
    log = open_log(tmp_path)
    found = log.locate(keys)
    assert found.corrupt == ()
    np.testing.assert_array_equal(log.read(found, slice(None)), vectors)
    assert verify(FeatureStore(tmp_path), rows=True) == []


def test_a_killed_writer_leaves_only_whole_segments(tmp_path):
    generator = np.random.default_rng(0)
    for _ in range(4):
        started = CONTEXT.Event()
        writer = CONTEXT.Process(target=append_for_ever, args=(tmp_path, started))
        writer.start()
        assert started.wait(60)
        time.sleep(generator.uniform(0, 0.05))
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(60)
        log = open_log(tmp_path)
        keys, vectors = rows(0, 1000)
        found = log.locate(keys)
        assert found.corrupt == ()
        here = np.flatnonzero(found.found)
        assert len(here) >= 5
        np.testing.assert_array_equal(log.read(found, here), vectors[here])
    assert verify(FeatureStore(tmp_path), rows=True) == []


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_no_room_for_a_segment_keeps_the_earlier_ones(tmp_path):
    queue = CONTEXT.Queue()
    writer = CONTEXT.Process(target=append_under_a_size_limit, args=(tmp_path, queue))
    writer.start()
    message = queue.get(timeout=60)
    writer.join(60)
    assert writer.exitcode == 0
    assert "StoreFull" in message
    keys, vectors = rows(0, 2000)
    log = open_log(tmp_path)
    found = log.locate(keys)
    assert found.found.tolist() == [True] * 10 + [False] * 1990
    np.testing.assert_array_equal(log.read(found, slice(0, 10)), vectors[:10])
    assert list(tmp_path.rglob(".tmp-*")) == []
