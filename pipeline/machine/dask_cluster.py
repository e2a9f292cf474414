"""Starts dask workers here, or finds those of a scheduler; `executors` imports it when workers are asked for."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
from ipaddress import ip_address
from urllib.parse import urlsplit

import dask
from distributed import Client, LocalCluster, Security, Worker, WorkerPlugin

from pipeline.machine.settings import Settings
from store.errors import InputError, RunError

_LOG = logging.getLogger(__name__)
_CONNECT_SECONDS = 15
_FIRST_WORKER_SECONDS = 120
_OURS = {
    # Their web servers are beside the TLS.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # On a busy machine a start takes longer than 30 s, and one more after a worker died longer than 15 s.
    "distributed.comm.timeouts.connect": "120s",
    "distributed.deploy.lost-worker-timeout": "300s",
}


def start_here(settings: Settings) -> tuple[Client, LocalCluster]:
    """Start one worker for each GPU, or some for the cores; they are stopped when the cluster is closed.

    Between them and us all is encrypted, with keys that live as long as they do: on a machine with other users, a
    scheduler that anybody can talk to would run their code as us.

    Raises
    ------
    RunError
        When no worker comes up.
    """
    gpus = _gpus() if settings.device in {"auto", "cuda"} else []
    cores = _cores()
    count = settings.dask_workers or len(gpus) or (1 if settings.device.startswith("cuda") else max(2, len(cores) // 4))
    dask.config.set(_OURS)  # in this process alone
    cluster = LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,  # a model is none of the data that dask could spill, and a worker killed for it is no help
        dashboard_address=None,
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},  # else one port for all users
        security=Security.temporary(),
        env={"OMP_NUM_THREADS": str(max(1, len(cores) // count))},  # dask would have it 1
    )
    try:
        client = Client(cluster, set_as_default=False)
        client.register_plugin(_Share(count, cores, gpus))
        _wait_for_a_worker(client, "this machine")
    except BaseException:
        cluster.close()
        raise
    return client, cluster


def connect(settings: Settings) -> Client:
    """Connect to the scheduler at `settings.dask` and see that it has a worker.

    Raises
    ------
    InputError
        When no scheduler answers there, or the files for TLS are wrong.
    RunError
        When it has no workers.
    """
    address = settings.dask
    if address.startswith("tcp://") and not _is_here(address):
        _LOG.warning("%s is neither encrypted nor authenticated; see docs/cluster.md on tls://", address)
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False, security=_security(settings))
    except (
        OSError,
        TimeoutError,
        ValueError,
        TypeError,
    ) as error:  # the last two: tls:// without, or with wrong, files
        raise InputError(
            f"expected a dask scheduler at {address}; found: {error}; start one with `dask scheduler`, or leave "
            "DIPTYCH_DASK empty for workers on this machine."
        ) from error
    try:
        _wait_for_a_worker(client, address)
    except BaseException:
        client.close()
        raise
    return client


def _security(settings: Settings) -> Security | None:
    """Return our own files for TLS, or None for dask's own configuration."""
    files = {
        "tls_ca_file": settings.dask_tls_ca,
        "tls_client_cert": settings.dask_tls_cert,
        "tls_client_key": settings.dask_tls_key,
    }
    given = {name: os.path.expanduser(path) for name, path in files.items() if path is not None}  # noqa: PTH111 (a str)
    if not given:
        return None
    missing = [path for path in given.values() if not os.path.isfile(path)]  # noqa: PTH113
    if missing:
        raise InputError(f"expected the file {missing[0]} for TLS; found none; see docs/cluster.md.")
    return Security(require_encryption=True, **given)


def _wait_for_a_worker(client: Client, where: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_FIRST_WORKER_SECONDS)
    except TimeoutError as error:
        raise RunError(
            f"expected a dask worker on {where} within {_FIRST_WORKER_SECONDS} s; found none; see the log of the "
            "scheduler, and start one with `dask worker`."
        ) from error


def _is_here(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _gpus() -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES chooses a GPU; found without importing torch, which takes long."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in {"", "-1"}]
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    done = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)  # noqa: S603
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in done.stdout.splitlines()))]


class _Share(WorkerPlugin):
    """Gives each worker of this machine its own GPU, or its own share of the cores."""

    name = "diptych-share"

    def __init__(self, workers: int, cores: list[int], gpus: list[str]) -> None:
        self._workers, self._cores, self._gpus = workers, cores, gpus

    def setup(self, worker: Worker) -> None:
        """Take the share before anything is computed here."""
        # Ctrl-C goes to every process of a terminal, and a batch system ends all of a job: the process that started us
        # is told too, and has us store what is finished. We end with it in any case.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        place = int(worker.name)
        if self._gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = self._gpus[place % len(self._gpus)]
        elif self._workers <= len(self._cores) and hasattr(os, "sched_setaffinity"):
            # Every n-th core: the two threads of one core are often numbered half of all cores apart.
            os.sched_setaffinity(0, self._cores[place :: self._workers])
