"""Runs `embed` over an album by the workers of an executor, and notes what passed between them and us."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.machine.executors import DaskExecutor
from stages.contract import WorkFunction
from stages.embed.params import EmbedParams
from stages.embed.run import EmbedInputs, EmbedOutputs, EmbedResult, run
from stages.embed.settings import EmbedSettings, StorePlace
from store import FeatureStore
from tests.stages.embed.album import Album


@dataclass
class Overheard:
    """An executor that passes all on to another one, and keeps it; `altered` may change a task on its way."""

    executor: DaskExecutor
    tasks: list[Any] = field(default_factory=list)
    reports: list[Any] = field(default_factory=list)
    altered: Callable[[Any], Any] = lambda task: task
    apart: bool = True

    @property
    def workers(self) -> int:
        return self.executor.workers

    def map(self, work: WorkFunction, tasks: Iterable[Any]) -> Generator[tuple[int, Any], None, None]:
        self.tasks = [self.altered(task) for task in tasks]
        for number, report in self.executor.map(work, self.tasks):
            self.reports.append(report)
            yield number, report

    def everywhere(self, work: WorkFunction, argument: Any) -> None:
        self.executor.everywhere(work, argument)


@dataclass
class Deadly(Overheard):
    """Kills one worker when the first report comes, one that is at work if there is any; `killed` is its process."""

    killed: int | None = None

    def map(self, work: WorkFunction, tasks: Iterable[Any]) -> Generator[tuple[int, Any], None, None]:
        client = self.executor._client()
        processes = {} if self.killed else client.run(os.getpid)
        for each in super().map(work, tasks):
            if self.killed is None:
                busy = [address for address, units in client.processing().items() if units]
                self.killed = processes[(busy or list(processes))[0]]
                os.kill(self.killed, signal.SIGKILL)
            yield each


@dataclass
class Hook:
    """A progress bar that calls back once, when the first portion is done."""

    call: Callable[[], None]
    called: bool = False
    notes: list[str] = field(default_factory=list)

    def advance(self, n: int = 1, note: str = "") -> None:
        self.notes.append(note)
        if n and not self.called:
            self.called = True
            self.call()

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[Hook]:  # noqa: ARG002
        yield self


def embed_by(
    album: Album,
    executor: DaskExecutor | Overheard,
    store: str = "apart",
    hook: Callable[[], None] = lambda: None,
    commit_seconds: float = 0.5,
    notes: list[str] | None = None,
    **params: Any,
) -> EmbedResult:
    """Embed by workers, into a store and outputs of its own below the album's folder."""
    place = StorePlace(str(album.root / store))
    settings = EmbedSettings(place.open(), commit_seconds=commit_seconds, executor=executor, place=place)
    asked = EmbedParams(**{"encoder": "slow", "field": "caption", **params})
    return run(
        asked,
        EmbedInputs(album.manifest),
        outputs_of(album, store),
        settings,
        Hook(hook, notes=[] if notes is None else notes),
    )


def outputs_of(album: Album, store: str = "apart") -> EmbedOutputs:
    folder = album.root / f"out-{store}"
    return EmbedOutputs(folder / "matrix.zarr.zip", folder / "card.json", folder / "failed.csv")


def keys_stored(root: Path) -> list[bytes]:
    """Give the key of every stored row, as often as it is stored."""
    return [
        bytes(key) for log in FeatureStore(root).logs() for name in log.segments() for key in log.files.read(name).keys
    ]
