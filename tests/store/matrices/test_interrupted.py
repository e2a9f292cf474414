"""A matrix whose writing fails or is killed leaves nothing behind, and the earlier file as it was."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from store import MatrixBlock, MatrixHeader, StoreFull, write_matrix

HEADER = MatrixHeader([f"id{i}" for i in range(40)], 3, "float32", np.zeros(3), {"note": "x"})
VECTORS = np.random.default_rng(0).standard_normal((40, 3)).astype("f4")
BLOCK = MatrixBlock(VECTORS, np.ones(40, bool), np.arange(40) % 7 > 0)
CONTEXT = multiprocessing.get_context("forkserver")


@pytest.fixture
def written(matrix_path):
    write_matrix(matrix_path, HEADER, [BLOCK], chunk_rows=10)
    return matrix_path


def failing_blocks(error: BaseException):
    yield MatrixBlock(VECTORS[:20], BLOCK.present[:20], BLOCK.ok[:20])
    raise error


@pytest.mark.parametrize("error", [RuntimeError("encoder"), KeyboardInterrupt()])
def test_an_interrupted_stream_leaves_the_earlier_matrix(written, error):
    before = written.read_bytes()
    with pytest.raises(type(error)):
        write_matrix(written, HEADER, failing_blocks(error), chunk_rows=10)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_too_little_room_is_seen_before_writing(matrix_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 100))
    with pytest.raises(StoreFull, match="found 100 free"):
        write_matrix(matrix_path, HEADER, failing_blocks(AssertionError("must not be asked for rows")))
    assert list(matrix_path.parent.iterdir()) == []


@pytest.mark.parametrize("at", range(1, 9))
def test_a_disk_that_fills_up_while_writing_hdf5(tmp_path, monkeypatch, at):
    calls = []

    def write(*args):
        calls.append(args)
        if len(calls) == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(*args)

    pwrite = os.pwrite
    monkeypatch.setattr("store.matrices.hdf5.os.pwrite", write)
    with pytest.raises(StoreFull, match="free some space"):
        write_matrix(tmp_path / "m.h5", HEADER, [BLOCK])
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_to_reserve(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("store.matrices.hdf5.os.posix_fallocate", refuse)
    with pytest.raises(StoreFull):
        write_matrix(tmp_path / "m.h5", HEADER, [BLOCK])
    assert list(tmp_path.iterdir()) == []


def write_large(path: Path, limit: int, queue) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    n = 2000
    header = MatrixHeader([str(i) for i in range(n)], 100, "float32", np.zeros(100))
    block = MatrixBlock(np.ones((n, 100), "f4"), np.ones(n, bool), np.ones(n, bool))
    try:
        write_matrix(path, header, [block], chunk_rows=100)
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent waits for it)
        queue.put(repr(error))


def test_a_real_limit_ends_in_a_clean_error(matrix_path):
    queue = CONTEXT.Queue()
    writer = CONTEXT.Process(target=write_large, args=(matrix_path, 300_000, queue))
    writer.start()
    assert "StoreFull" in queue.get(timeout=60)
    writer.join(60)
    assert writer.exitcode == 0
    assert list(matrix_path.parent.iterdir()) == []


def write_slowly(path: Path, started) -> None:
    def blocks():
        yield MatrixBlock(VECTORS[:20], BLOCK.present[:20], BLOCK.ok[:20])
        started.set()
        signal.pause()

    write_matrix(path, HEADER, blocks(), chunk_rows=10)


def test_a_killed_writer_leaves_the_earlier_matrix(written):
    before, started = written.read_bytes(), CONTEXT.Event()
    writer = CONTEXT.Process(target=write_slowly, args=(written, started))
    writer.start()
    assert started.wait(60)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(60)
    assert written.read_bytes() == before
    write_matrix(written, HEADER, [BLOCK], chunk_rows=10)
    assert written.read_bytes() == before
