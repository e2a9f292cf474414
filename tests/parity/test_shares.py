"""What each worker of this machine gets of it: a GPU, or its share of the cores; and who may talk to them."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from pipeline.machine.dask_cluster import _gpus
from pipeline.machine.executors import DaskExecutor, SerialExecutor, make_executor
from pipeline.machine.settings import Settings


def test_workers_share_the_cores_and_are_reached_by_tls_alone(workers: DaskExecutor) -> None:
    client = workers._client()
    client.wait_for_workers(2, timeout=60)
    shares = list(client.run(os.sched_getaffinity, 0).values())
    if len(os.sched_getaffinity(0)) >= 2:
        assert shares[0].isdisjoint(shares[1])
    assert set().union(*shares) == os.sched_getaffinity(0)
    assert all(address.startswith("tls://127.0.0.1:") for address in client.nthreads())


@pytest.mark.parametrize(
    ("visible", "wanted"), [("2,3", ["2", "3"]), ("GPU-1a, GPU-2b", ["GPU-1a", "GPU-2b"]), ("", [])]
)
def test_only_visible_gpus_are_used(monkeypatch: pytest.MonkeyPatch, visible: str, wanted: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert _gpus() == wanted


@pytest.mark.slow
def test_each_worker_sees_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with closing(DaskExecutor(Settings(executor="dask"))) as executor:
        executor._client().wait_for_workers(2, timeout=60)
        seen = executor._client().run(os.getenv, "CUDA_VISIBLE_DEVICES")
    assert sorted(seen.values()) == ["5", "7"]


def test_without_the_setting_nothing_is_started() -> None:
    serial, dask = make_executor(Settings()), make_executor(Settings(executor="dask"))
    assert isinstance(serial, SerialExecutor)
    assert list(serial.map(len, ["a", "bc"])) == [(0, 1), (1, 2)]
    assert isinstance(dask, DaskExecutor)
    dask.everywhere(len, "nobody is there to be called")
    dask.close()
