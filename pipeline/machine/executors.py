"""Who does the units of work of a stage: this process, or workers of dask.distributed, here or elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline.machine.settings import Settings
from stages.contract import WorkFunction
from store.errors import RunError, UnitLost

if TYPE_CHECKING:  # it takes half a second to import, and most runs ask for no workers
    from distributed import Client, Future, LocalCluster

_AHEAD = 64  # units with the scheduler at least: an adaptive cluster grows by what waits there
_LOOK_SECONDS = 2.0
_NO_WORKER_SECONDS = 60.0
_CLOSE_SECONDS = 40
_GONE = (OSError, TimeoutError, CancelledError)


def make_executor(settings: Settings) -> SerialExecutor | DaskExecutor:
    """Return the executor that the settings name; nothing is started yet."""
    return DaskExecutor(settings) if settings.executor == "dask" else SerialExecutor()


class SerialExecutor:
    """Does each unit here, when its result is asked for."""

    apart = False
    workers = 1

    def map(self, work: WorkFunction, units: Iterable[Any]) -> Generator[tuple[int, Any], None, None]:
        """Yield the results in the order of the units."""
        for number, unit in enumerate(units):
            yield number, work(unit)

    def everywhere(self, work: WorkFunction, argument: Any) -> None:
        """Call it here."""
        work(argument)

    def close(self) -> None:
        """Do nothing."""


class DaskExecutor:
    """Has units done by dask workers, which are started, or looked for, when the first unit is asked for.

    Parameters
    ----------
    settings : Settings
        `dask`: the address of a scheduler, or "" to start `dask_workers` on this machine.
    """

    apart = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: Client | None = None
        self._cluster: LocalCluster | None = None

    @property
    def workers(self) -> int:
        """How many workers there are now; asking starts them.

        Raises
        ------
        InputError, RunError
            When there is no scheduler, or it has no workers.
        """
        client = self._client()
        try:
            return len(client.nthreads())
        except _GONE as error:
            raise self._gone(error) from error

    def map(self, work: WorkFunction, units: Iterable[Any]) -> Generator[tuple[int, Any], None, None]:
        """Yield the results as they come; see `Executor.map`."""
        client, waiting = self._client(), enumerate(units)
        running: dict[Future[Any], int] = {}
        try:
            while True:
                for number, unit in islice(waiting, max(0, max(_AHEAD, 4 * self.workers) - len(running))):
                    running[client.submit(work, unit, pure=False)] = number
                if not running:
                    return
                for future in self._finished(list(running)):
                    number = running.pop(future)
                    yield number, self._result(future, number)
        finally:
            with suppress(*_GONE):
                client.cancel(list(running))

    def _finished(self, futures: list[Future[Any]]) -> Iterable[Future[Any]]:
        """Wait until some are finished; look now and then whether anybody is left to do them."""
        from distributed import wait

        client, deadline = self._client(), time.monotonic() + _NO_WORKER_SECONDS
        while True:
            try:
                with client.as_current():
                    done = wait(futures, timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:  # these take longer
                if self.workers:
                    deadline = time.monotonic() + _NO_WORKER_SECONDS
                elif time.monotonic() > deadline:
                    raise RunError(
                        f"expected dask workers at {self._shown}; found none for {_NO_WORKER_SECONDS:.0f} s; see their "
                        "logs. What they had stored is kept; start them and run again."
                    ) from None
            except _GONE as error:
                raise self._gone(error) from error
            else:
                return list(done)

    def _result(self, future: Future[Any], number: int) -> Any:
        from distributed import KilledWorker

        if future.status != "error":
            try:
                return future.result()
            except _GONE as error:
                raise self._gone(error) from error
        raised = future.exception()
        if isinstance(raised, KilledWorker):
            raise UnitLost(f"{raised.allowed_failures + 1} workers of {self._shown} dead of it", number)
        raise raised.with_traceback(future.traceback())

    def everywhere(self, work: WorkFunction, argument: Any) -> None:
        """Call it on each worker's own loop; nowhere when none were started.

        Raises
        ------
        RunError
            When the scheduler is gone.
        """
        if self._running is not None:
            try:
                self._running.run(work, argument, on_error="ignore")
            except _GONE as error:
                raise self._gone(error) from error

    def close(self) -> None:
        """Let the scheduler go, and stop the workers if we started them."""
        if self._running is not None:
            with suppress(*_GONE):
                self._running.close()
            self._running = None
        if self._cluster is not None:
            # All is stored: a worker that takes long to unload its model may well be killed for it, unheard.
            logging.getLogger("distributed.nanny").setLevel(logging.ERROR)
            self._cluster.close(timeout=_CLOSE_SECONDS)
            self._cluster = None

    @property
    def _shown(self) -> str:
        return self._settings.dask or "this machine"

    def _client(self) -> Client:
        if self._running is None:
            from pipeline.machine.dask_cluster import connect, start_here

            if self._settings.dask:
                self._running = connect(self._settings)
            else:
                self._running, self._cluster = start_here(self._settings)
        return self._running

    def _gone(self, error: Exception) -> RunError:
        return RunError(
            f"expected the dask scheduler at {self._shown} to answer; found: {type(error).__name__}: {error}. What the "
            "workers had stored is kept; see to the scheduler and run again."
        )
