"""Real processes stopped half-way: what was committed is found again, and the end is that of an unbroken run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from store import FeatureStore, verify
from tests.stages.embed.album import Album

SCRIPT = Path(__file__).with_name("slow_embed.py")
CAPTIONS = [f"caption {number}" for number in range(80)]
WANTED = 81  # the empty text too


@contextmanager
def embedding(album: Album, delay: float, commit_seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SCRIPT), str(album.root), str(delay), str(commit_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_batches(process: subprocess.Popen[str], count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        assert process.stdout.readline().startswith("encoded"), process.communicate()[1]


def rows_in_store(album: Album) -> int:
    return sum(len(log.files.read(name).keys) for log in FeatureStore(album.store).logs() for name in log.segments())


def test_killed_again_and_again_only_the_rest_is_computed(album, counting, tmp_path):
    album.write(CAPTIONS)
    kept = 0
    for batches in (3, 6):
        with embedding(album, delay=0.03, commit_seconds=0.05) as process:
            wait_for_batches(process, batches)
            deadline = time.monotonic() + 20
            while rows_in_store(album) == kept and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        assert kept < rows_in_store(album) < WANTED
        kept = rows_in_store(album)
        assert verify(FeatureStore(album.store), rows=True) == []
        assert not album.outputs.matrix.exists()
    result = album.embed()
    assert (result.cached, result.new, result.failed) == (kept, WANTED - kept, 0)
    assert len(counting.encoded) == WANTED - kept
    unbroken = Album(tmp_path / "unbroken")
    unbroken.root.mkdir()
    unbroken.write(CAPTIONS)
    unbroken.embed()
    assert album.matrix().digest == unbroken.matrix().digest
    assert album.outputs.matrix.read_bytes() == unbroken.outputs.matrix.read_bytes()
    assert album.outputs.card.read_bytes() == unbroken.outputs.card.read_bytes()


@pytest.mark.slow
def test_killed_at_twenty_five_random_times(tmp_path):
    unbroken = Album(tmp_path / "unbroken")
    unbroken.root.mkdir()
    unbroken.write(CAPTIONS)
    unbroken.embed()
    generator = np.random.default_rng(0)
    kept_rows = set()
    for turn in range(25):
        album = Album(tmp_path / str(turn))
        album.root.mkdir()
        album.write(CAPTIONS)
        with embedding(album, delay=0.01, commit_seconds=0) as process:
            wait_for_batches(process, 1)
            time.sleep(generator.uniform(0, 0.7))  # 21 batches take about as long
            process.send_signal(signal.SIGKILL)
            told = 1 + sum(line.startswith("encoded") for line in process.communicate()[0].splitlines())
        store = FeatureStore(album.store)
        assert verify(store, rows=True) == []
        kept = rows_in_store(album)
        # A batch is told of before it is stored, and on a busy machine the next one too, while the first is written.
        assert min(4 * (told - 2), WANTED) <= kept <= min(4 * told, WANTED)
        kept_rows.add(kept)
        result = album.embed()
        assert (result.cached, result.new, result.failed) == (kept, WANTED - kept, 0)
        assert album.outputs.matrix.read_bytes() == unbroken.outputs.matrix.read_bytes()
        assert len(list(album.store.rglob(".tmp-*"))) <= 1
    assert len(kept_rows) > 5  # or the times were not random


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_commits_finished_rows_and_leaves_no_temporary(album, number):
    album.write(CAPTIONS)
    with embedding(album, delay=0.05, commit_seconds=1000) as process:
        wait_for_batches(process, 5)
        assert rows_in_store(album) == 0
        process.send_signal(number)
        process.wait(20)
    assert process.returncode == (143 if number == signal.SIGTERM else -signal.SIGINT)
    kept = rows_in_store(album)
    # The batch at work when the signal came, and none that was told of, may be lost.
    assert 16 <= kept < WANTED
    assert album.temporaries() == []
    result = album.embed()
    assert (result.cached, result.new) == (kept, WANTED - kept)


def test_two_processes_on_one_store_agree(album, counting):
    album.write(CAPTIONS)
    with embedding(album, delay=0.002, commit_seconds=0.02) as process:
        wait_for_batches(process, 1)
        here = album.embed("here.zarr.zip", {"commit_seconds": 0.02})
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
    assert here.failed == 0
    assert album.matrix("here.zarr.zip").digest == album.matrix().digest
    counting.encoded.clear()
    assert album.embed().cached == WANTED
    assert counting.encoded == []
