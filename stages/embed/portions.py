"""Have the workers of an executor compute what the store lacks: cut it into portions, hand them out, count what came.

Only manifest rows go out and only counts and reasons come back: each worker reads the items and writes its vectors
itself (`worker`). `run` looks the rows up when all portions are done, as after its own computing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stages.contract import Executor, Tracker
from stages.embed.compute import Job, title_of
from stages.embed.request import Ledger, Rows
from stages.embed.settings import StorePlace
from stages.embed.worker import embed_portion, stop_portions
from stages.models.encoders.image.decoding import allowed_pixels
from stages.models.encoders.protocol import Runtime
from store.errors import RunError, UnitLost
from store.files.reading import file_digest, trusted_roots

# Each worker gets several portions, so that a slow one holds up the end by little; a portion is more than a batch or
# two, since the model waits at its begin and end.
_SMALLEST, _LARGEST = 512, 2048
_EACH = 4


def compute_apart(job: Job, ledger: Ledger) -> None:
    """Have what is wanted encoded and stored by workers.

    Raises
    ------
    InputError
        When a worker does not see the manifest, the pictures or the store, or has another encoder.
    RunError
        When a portion loses one worker after the other, or the workers are gone.
    """
    executor = job.settings.executor
    if executor is None:
        raise TypeError("expected an executor; compute_here needs none")
    order = order_of(job)
    with job.progress.track(title_of(job, ledger), ledger.left) as bar, ledger.seconds.of("wall"):
        portions = _cut(np.flatnonzero(ledger.wanted), executor.workers)
        books = _Books(ledger, bar)
        try:
            _hand_out(executor, order, job, portions, books)
        except UnitLost as lost:
            raise _lost(job, portions[lost.unit], lost) from lost
        finally:
            books.close()


def _hand_out(executor: Executor, order: Mapping[str, Any], job: Job, portions: Sequence[Rows], books: _Books) -> None:
    tasks = ({"order": order, "rows": job.request.first[portion].tolist()} for portion in portions)
    try:
        with closing(executor.map(embed_portion, tasks)) as reports:
            for number, report in reports:
                books.enter(portions[number], report)
    except BaseException:  # on Ctrl-C and SIGTERM too: what the workers have finished is stored
        with suppress(RunError):  # whom it does not reach is gone
            executor.everywhere(stop_portions, order["run"])
        raise


def order_of(job: Job) -> dict[str, Any]:
    """Say in plain JSON data all that a worker must know besides the rows of its portion.

    Returns
    -------
    dict
        `run`, by which it can be stopped; `project`, `manifest`, `fitted`: paths in full; `manifest_digest` and
        `fingerprint`, which the worker must find too; `params`; `store`, `spill`: as `StorePlace`; `trusted_roots`:
        where links of pictures may lead; `max_pixels`: the largest of them; `machine`: settings.
    """
    settings = job.settings
    if settings.place is None:
        raise TypeError("expected the place of the store; workers open it themselves")
    spill, path = settings.spill, job.inputs.manifest.path.absolute()
    return {
        "run": secrets.token_hex(8),
        "project": str(Path.cwd()),
        "manifest": str(path),
        "manifest_digest": file_digest(path),
        "fitted": None if job.fitted is None else str(job.fitted.absolute()),
        "fingerprint": job.log.fingerprint.digest,
        "params": job.params.model_dump(mode="json"),
        "store": asdict(settings.place),
        "spill": None if spill is None else asdict(StorePlace(spill.address, spill.segment_format)),
        "trusted_roots": trusted_roots(),
        "max_pixels": allowed_pixels(),
        "machine": {
            "device": settings.device,
            "engine": settings.engine,
            "workers": settings.workers,
            "commit_seconds": settings.commit_seconds,
            "commit_bytes": settings.commit_bytes,
        },
    }


def _cut(missing: Rows, workers: int) -> list[Rows]:
    """Cut what is missing into portions, in its order: what lies together in the store is then read together."""
    size = min(_LARGEST, max(_SMALLEST, -(-len(missing) // (_EACH * max(1, workers)))))
    return [missing[start : start + size] for start in range(0, len(missing), size)]


def _lost(job: Job, portion: Rows, lost: UnitLost) -> RunError:
    row = int(job.request.first[portion[0]])
    first = job.inputs.manifest.ids()[row] if row >= 0 else "the empty text"
    return RunError(
        f"embed: expected {len(portion)} contents to be encoded, the first of item {first!r}; found {lost}; see the "
        "workers' logs: were they out of memory? DIPTYCH_EXECUTOR=serial encodes the rest here, up to the content that "
        "ends the process. What was finished is in the store."
    )


@dataclass
class _Books:
    """Adds up the reports of the portions."""

    ledger: Ledger
    bar: Tracker
    found: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    workers: set[str] = field(default_factory=set)

    def enter(self, portion: Rows, report: Mapping[str, Any]) -> None:
        """Enter what became of one portion."""
        failures = {int(portion[int(at)]): reason for at, reason in report["failures"].items()}
        self.ledger.enter(portion, report["found"], failures)
        self.found += len(report["found"])
        self._add(self.ledger.notes, report["notes"])
        self._add(self.seconds, report["seconds"])
        if report["runtime"]:
            self.ledger.seconds.workers, self.ledger.seconds.streams = report["threads"], report["streams"]
            self.ledger.runtime = Runtime(**report["runtime"])
        self.workers.add(report["worker"])
        self.bar.advance(len(portion), self._note())

    @staticmethod
    def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
        for name, value in more.items():
            total[name] = total.get(name, 0) + value

    def close(self) -> None:
        """Enter the seconds as those of one worker in the mean, so that they compare with the time that went by."""
        for name, value in self.seconds.items():
            setattr(self.ledger.seconds, name, getattr(self.ledger.seconds, name) + value / len(self.workers))

    def _note(self) -> str:
        counts = {"failed": len(self.ledger.failures), "found in the store": self.found}
        told = [f"{count} {what}" for what, count in counts.items() if count]
        return ", ".join([*told, f"{len(self.workers)} worker{'s' * (len(self.workers) > 1)}"])
