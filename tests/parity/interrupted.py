"""Runs `embed` by two workers as a process of its own, to be stopped: python -m tests.parity.interrupted ROOT."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from pathlib import Path

import dask

from pipeline.machine.executors import DaskExecutor
from pipeline.machine.settings import Settings
from stages.models.encoders.catalog.encoders import ENCODERS
from tests.parity.conftest import PRELOAD
from tests.parity.encoders import ROW
from tests.parity.runs import embed_by
from tests.stages.embed.album import Album


def main(root: Path) -> None:
    ENCODERS["slow"] = ROW
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    executor = DaskExecutor(Settings(executor="dask", dask_workers=2, device="cpu"))
    with dask.config.set(PRELOAD), closing(executor):
        embed_by(Album(root), executor, commit_seconds=1000, missing="zero")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
