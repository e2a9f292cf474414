"""Two real worker processes, which the tests of a file share, and an album that is embedded by them or here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dask
import distributed  # noqa: F401 (its defaults must be there before a test sets others)
import pytest

from pipeline.machine.executors import DaskExecutor
from pipeline.machine.settings import Settings
from stages.models.encoders.catalog.encoders import ENCODERS
from tests.parity.encoders import LOG, ROW
from tests.stages.embed.album import Album

PRELOAD = {"distributed.worker.preload": ["tests.parity.encoders"]}


@pytest.fixture(scope="package")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file that `slow` writes; workers inherit its name. The encoder is known here, too, for as long."""
    path = tmp_path_factory.mktemp("batches") / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, LOG, str(path))
        patch.setitem(ENCODERS, "slow", ROW)
        yield path


@pytest.fixture(scope="package")
def workers(batches: Path) -> Iterator[DaskExecutor]:  # noqa: ARG001 (what they inherit)
    executor = DaskExecutor(Settings(executor="dask", dask_workers=2, device="cpu"))
    with dask.config.set(PRELOAD):
        assert executor.workers in {1, 2}  # the second may still be on its way
        yield executor
    executor.close()


@pytest.fixture
def album(tmp_path: Path, batches: Path) -> Album:
    batches.unlink(missing_ok=True)
    return Album(tmp_path)
