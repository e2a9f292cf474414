"""Workers that somebody else started, by the commands of docs/cluster.md: found by their scheduler's address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dask
import pytest

from pipeline.machine.executors import DaskExecutor
from pipeline.machine.settings import Settings
from store.errors import InputError, RunError
from tests.parity.conftest import PRELOAD
from tests.parity.encoders import POISON
from tests.parity.runs import embed_by, keys_stored, outputs_of
from tests.pipeline.project import ROOT
from tests.stages.embed.album import Album

DASK = str(Path(sys.executable).with_name("dask"))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([DASK, *command], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_nobody_at_the_address_is_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.machine.dask_cluster._CONNECT_SECONDS", 0.2)
    executor = DaskExecutor(Settings(executor="dask", dask=f"tcp://127.0.0.1:{free_port()}"))
    with pytest.raises(InputError, match=r"expected a dask scheduler at tcp://127.0.0.1:\d+; found"):
        _ = executor.workers
    executor.close()


def test_tls_without_its_files_is_wrong_input() -> None:
    executor = DaskExecutor(Settings(executor="dask", dask="tls://127.0.0.1:1", dask_tls_ca="/nowhere/ca.pem"))
    with pytest.raises(InputError, match=r"expected the file /nowhere/ca.pem for TLS; found none"):
        _ = executor.workers


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_run_and_what_was_stored_stays(album: Album) -> None:
    album.write([f"text {number}" for number in range(3000)])
    port = free_port()
    with ExitStack() as stack:
        scheduler = stack.enter_context(running("scheduler", "--host", "127.0.0.1", "--port", str(port)))
        for _ in range(2):
            worker = ("worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--preload", "tests.parity.encoders")
            stack.enter_context(running(*worker))
        executor = DaskExecutor(Settings(executor="dask", dask=f"tcp://127.0.0.1:{port}"))
        stack.callback(executor.close)
        with pytest.raises(RunError, match=r"the dask scheduler at tcp://127.0.0.1:\d+ to answer.*is kept"):
            embed_by(album, executor, hook=scheduler.kill, missing="zero")
    kept = len(keys_stored(album.root / "apart"))
    assert 512 <= kept < 3000
    assert not outputs_of(album).matrix.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_stores_what_is_finished_and_leaves_none(
    album: Album, batches: Path, number: signal.Signals
) -> None:
    album.write([f"text {each}" for each in range(6000)])
    command = [sys.executable, "-m", "tests.parity.interrupted", str(album.root)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not batches.exists() or len(batches.read_text().splitlines()) < 700:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, number)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == (143 if number == signal.SIGTERM else -signal.SIGINT), said
    lines = batches.read_text().splitlines()
    stored = len(keys_stored(album.root / "apart"))
    assert len(lines) - 6 * 16 <= stored <= len(lines) < 6000, said
    assert not [worker for worker in {line.split()[0] for line in lines} if Path(f"/proc/{worker}").exists()]


@pytest.mark.slow
def test_a_content_that_ends_every_worker_ends_the_run(album: Album) -> None:
    album.write([f"text {number}" for number in range(520)] + [POISON])
    executor = DaskExecutor(Settings(executor="dask", dask_workers=2, device="cpu"))
    with dask.config.set({**PRELOAD, "distributed.scheduler.allowed-failures": 1}), closing(executor):  # noqa: SIM117
        with pytest.raises(RunError, match=r"the first of item 'i512'; found 2 workers of this machine dead of it"):
            embed_by(album, executor, missing="zero")
    assert len(keys_stored(album.root / "apart")) >= 512
