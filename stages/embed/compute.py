"""Compute what the store lacks of a request: look up, see that there is room, encode, commit, look up again."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.embed.commit import Committer
from stages.embed.failures import KnownFailures
from stages.embed.params import EmbedParams
from stages.embed.request import Ledger, Request, Rows
from stages.embed.settings import EmbedSettings
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.protocol import Encoder, Runtime
from stages.models.encoders.running.batching import Encoded, encode_stream
from stages.models.encoders.running.engines import place
from store import EncoderLog, FeatureStore, LocalBackend
from store.files.room import Policy, check_disk

_KEY_BYTES = 40  # of a row in a segment: its key and its digest
_SPARE = 1.1


def refuse_full_disks(
    store: FeatureStore, log: EncoderLog, policy: Policy, missing: int, export: tuple[Path | None, int]
) -> None:
    """Refuse to begin what a disk cannot take in; of a storage that is no folder nobody knows the room.

    Parameters
    ----------
    missing : int
        Rows that the store will get.
    export : (Path or None, int)
        The matrix that is written afterwards, and its rows.

    Raises
    ------
    RunError
        When there is too little room and the policy says so.
    """
    row_bytes, (matrix, rows) = log.dim * np.dtype(log.dtype).itemsize, export
    needs = {} if matrix is None else {matrix.parent: int(rows * row_bytes * _SPARE)}
    if isinstance(store.backend, LocalBackend):
        root = store.backend.root
        needs[root] = needs.get(root, 0) + int(missing * (row_bytes + _KEY_BYTES) * _SPARE)
    check_disk(f"embed {log.fingerprint.encoder}", needs, policy)


_SCANNED = 1 << 20  # marks looked at together


class Left:
    """Takes portions of what is wanted, without looking again at what was done long ago.

    Parameters
    ----------
    wanted : ndarray of bool, [U]
        Kept up to date by others; what is not wanted any more never is again.
    """

    def __init__(self, wanted: NDArray[np.bool_]) -> None:
        self._wanted = wanted
        self._at = 0  # where to go on

    def next(self, count: int) -> Rows:
        """Return what is wanted from where the last portion began, `count` at most; behind the end comes the begin."""
        behind = self._from(self._at, len(self._wanted), count)
        found = np.concatenate([behind, self._from(0, self._at, count - len(behind))])
        self._at = int(found[0]) if len(found) else 0
        return found

    def anywhere(self, count: int) -> Rows:
        """Return as many from one of them on that is drawn by lot; the next portions go on there.

        Of what is wanted, not of all positions: where most is done, two machines would meet again behind the same gap.
        """
        self._at = self._place(random.randrange(int(np.count_nonzero(self._wanted))))  # noqa: S311 (no secret)
        return self.next(count)

    def _place(self, number: int) -> int:
        """Find the position of the wanted one that has so many wanted before it."""
        start = 0
        while number >= (here := int(np.count_nonzero(self._wanted[start : start + _SCANNED]))):
            start, number = start + _SCANNED, number - here
        return start + int(np.flatnonzero(self._wanted[start : start + _SCANNED])[number])

    def _from(self, start: int, stop: int, count: int) -> Rows:
        found = [np.zeros(0, dtype=np.int64)]
        while start < stop and count:
            end = min(start + _SCANNED, stop)
            found.append(start + np.flatnonzero(self._wanted[start:end])[:count])
            start, count = end, count - len(found[-1])
        return np.concatenate(found)


_SLICE = 65_536  # contents read, encoded and forgotten together, so that memory does not grow with the data set


@dataclass(frozen=True)
class Job:
    """One run of `embed`: what is wanted, who encodes it, where it is kept, and the matrix that is written then."""

    params: EmbedParams
    inputs: Inputs
    request: Request
    encoder: Encoder
    log: EncoderLog
    settings: EmbedSettings
    progress: Progress
    fitted: Path | None = None
    matrix: Path | None = None


Compute = Callable[[Job, Ledger], None]
"""Encodes and stores what is wanted, and notes what becomes of it."""


def open_ledger(job: Job) -> Ledger:
    """Begin with what is known to fail, unless it is to be tried again."""
    keys = job.request.keys
    known = {} if job.settings.retry_failed else _remembered(job).recall(keys, np.ones(len(keys), dtype=bool))
    return Ledger(job.log, keys, known)


def fill_store(job: Job, compute: Compute, ledger: Ledger) -> None:
    """Encode every content that the store lacks; the model is loaded only when there is one.

    Parameters
    ----------
    compute : callable
        `compute_here`, or `compute_apart` of `portions`.
    ledger : Ledger
        What failed before is not tried. What is wanted afterwards was removed or damaged since it was computed.
    """
    ledger.look_up()
    if ledger.left:
        with _remembered(job).updated(job.request.keys, ledger.computed, ledger.failures):
            compute(job, ledger)
        ledger.look_up()


def _remembered(job: Job) -> KnownFailures:
    return KnownFailures(job.settings.failed, job.log.fingerprint)


def _load(job: Job, ledger: Ledger) -> Runtime:
    """Load the model and return what runs it; before that, see that its work can be kept."""
    job.log.probe_writable()  # hours of computing must not end at a read-only folder
    settings = job.settings
    refuse_full_disks(settings.store, job.log, settings.preflight, ledger.left, (job.matrix, len(job.request.inverse)))
    with ledger.seconds.of("load"):
        placement = place(job.encoder, job.settings.device, job.settings.engine, job.params.precision)
        return job.encoder.load(placement)


def compute_here(job: Job, ledger: Ledger) -> None:
    """Encode and store in this process what is wanted."""
    ledger.runtime = ledger.runtime or _load(job, ledger)
    with job.progress.track(title_of(job, ledger), ledger.left) as bar:
        committer = Committer(ledger, ledger.runtime, bar, job.settings)
        try:
            committer.look()  # loading the model may have taken long
            left = Left(ledger.wanted)
            while len(portion := _next_portion(job, ledger, left)):
                _encode_slice(job, portion, committer)
        finally:
            committer.finish()  # on Ctrl-C and SIGTERM too: finished rows are never thrown away
    ledger.notes = dict(job.encoder.notes())


def title_of(job: Job, ledger: Ledger) -> str:
    """Say over a progress bar what is computed."""
    return f"embed {job.inputs.name} {job.params.encoder} ({np.count_nonzero(ledger.found)} cached)"


def _next_portion(job: Job, ledger: Ledger, left: Left) -> Rows:
    """Choose what to encode next: in the order of the manifest, and elsewhere in it when somebody is at this place.

    Two machines that begin at once would otherwise do the same rows at the same pace, each before the other's are to
    be seen. From a place drawn by lot each does its own share, and passes over that of the other.
    """
    # Where less than a window is left, it is prepared already, and is not worth moving for.
    move = ledger.crowded and ledger.left > job.encoder.window
    ledger.crowded = False
    return left.anywhere(_SLICE) if move else left.next(_SLICE)


def _encode_slice(job: Job, portion: Rows, committer: Committer) -> None:
    load = job.inputs.loader(job.request.first[portion])
    items, ledger = portion.tolist(), committer.ledger
    leaving = False

    def skip(item: int) -> bool:
        return leaving or not ledger.wanted[items[item]]

    stream = encode_stream(job.encoder, load, len(portion), job.settings.workers, ledger.seconds, skip)
    with closing(stream) as results:
        for result in results:
            if isinstance(result, Encoded):
                committer.add(portion[result.items], result.vectors)
            else:
                committer.fail(items[result.item], result.reason)
            # Not left at once: what the model has already comes back.
            leaving |= ledger.crowded and ledger.left > job.encoder.window
