"""Compute what the store lacks of a request: look up, see that there is room, encode, commit, look up again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.embed.commit import Committer
from stages.embed.failures import KnownFailures
from stages.embed.params import EmbedParams
from stages.embed.request import Elsewhere, Left, Request, Rows, Watch
from stages.embed.settings import EmbedSettings
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.protocol import Encoder, Runtime
from stages.models.encoders.running.batching import Encoded, Seconds, encode_stream
from stages.models.encoders.running.engines import place
from store import EncoderLog, FeatureStore, LocalBackend, Locations
from store.errors import RunError
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


_SLICE = 65_536  # contents read, encoded and forgotten together, so that memory does not grow with the data set
_ROUNDS = 3


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


@dataclass
class Filled:
    """What became of a request.

    Attributes
    ----------
    locations : Locations
        Where each content lies in the store; the failed ones are missing.
    computed : ndarray of bool, [U]
        Which contents this run tried to encode.
    failures : dict
        Position in the request -> reason.
    seconds : Seconds
    runtime : Runtime or None
        What computed; None when nothing had to be.
    known : int
        How many of the failures were known before and not tried again.
    notes : dict
        What the encoder counted among the computed ones; see `Encoder.notes`.
    """

    locations: Locations
    computed: NDArray[np.bool_]
    failures: dict[int, str]
    seconds: Seconds
    runtime: Runtime | None = None
    known: int = 0
    notes: dict[str, int] = field(default_factory=dict)


Compute = Callable[[Job, Rows, Watch, Filled], None]
"""Encodes and stores missing contents, and adds what becomes of them to what it is given."""


def fill_store(job: Job, compute: Compute, before: Filled | None = None) -> Filled:
    """Encode every content that the store lacks; the model is loaded only when there is one.

    Parameters
    ----------
    compute : callable
        `compute_here`, or `compute_apart` of `portions`.
    before : Filled, optional
        What an earlier call for this job gave, when rows were lost since: it is continued, and nothing that failed is
        tried again.

    Raises
    ------
    RunError
        When rows vanish from the store as fast as they are computed, or the store stops taking them.
    """
    filled = before
    # One computing is enough, unless a segment is removed or damaged meanwhile: its rows are computed again.
    for attempt in range(_ROUNDS + 1):
        elsewhere = Elsewhere(job.log, job.request.keys)
        locations = job.log.locate(job.request.keys)
        filled = filled or _begin(job, locations)
        filled.locations = locations
        _forget_stored(filled)
        missing = _missing(filled)
        if not len(missing):
            return filled
        if attempt < _ROUNDS:
            with _remembered(job).updated(job.request.keys, filled.computed, filled.failures):
                compute(job, missing, elsewhere, filled)
    raise RunError(
        f"embed: expected the rows just computed in {job.log.shown}; found {len(missing)} of them removed or damaged; "
        "look at it with `diptych store verify`, and run again."
    )


def _remembered(job: Job) -> KnownFailures:
    return KnownFailures(job.settings.failed, job.log.fingerprint)


def _begin(job: Job, locations: Locations) -> Filled:
    """Begin with what is known to fail, unless it is to be tried again."""
    known = {} if job.settings.retry_failed else _remembered(job).recall(job.request.keys, ~locations.found)
    return Filled(locations, np.zeros(len(locations), dtype=bool), known, Seconds(), known=len(known))


def _forget_stored(filled: Filled) -> None:
    """Count as found what failed here and somebody else has stored since, who may have the file that is lost here."""
    for at in [at for at in filled.failures if filled.locations.found[at]]:
        del filled.failures[at]
        filled.computed[at] = False
    filled.known = sum(not filled.computed[at] for at in filled.failures)


def _missing(filled: Filled) -> Rows:
    missing = ~filled.locations.found
    missing[list(filled.failures)] = False
    return np.flatnonzero(missing)


def _load(job: Job, missing: int, seconds: Seconds) -> Runtime:
    """Load the model and return what runs it; before that, see that its work can be kept."""
    job.log.probe_writable()  # hours of computing must not end at a read-only folder
    settings = job.settings
    refuse_full_disks(settings.store, job.log, settings.preflight, missing, (job.matrix, len(job.request.inverse)))
    with seconds.of("load"):
        placement = place(job.encoder, job.settings.device, job.settings.engine, job.params.precision)
        return job.encoder.load(placement)


def compute_here(job: Job, missing: Rows, elsewhere: Watch, filled: Filled) -> None:
    """Encode and store the missing contents in this process; add what becomes of them to `filled`."""
    filled.runtime = filled.runtime or _load(job, len(missing), filled.seconds)
    wanted = np.zeros(len(filled.computed), dtype=bool)
    wanted[missing] = True
    with job.progress.track(title_of(job, filled), len(missing)) as bar:
        committer = Committer(
            job.log,
            job.request.keys,
            filled.runtime,
            bar,
            job.settings,
            elsewhere,
            wanted,
            filled.computed,
            filled.failures,
            filled.seconds,
        )
        try:
            committer.look()  # loading the model may have taken long
            left = Left(wanted)
            while len(portion := _next_portion(job, committer, left)):
                _encode_slice(job, portion, committer)
        finally:
            committer.finish()  # on Ctrl-C and SIGTERM too: finished rows are never thrown away
    filled.notes = dict(job.encoder.notes())


def title_of(job: Job, filled: Filled) -> str:
    """Say over a progress bar what is computed."""
    cached = int(np.count_nonzero(filled.locations.found))
    return f"embed {job.inputs.name} {job.params.encoder} ({cached} cached)"


def _next_portion(job: Job, committer: Committer, left: Left) -> Rows:
    """Choose what to encode next: in the order of the manifest, and elsewhere in it when somebody is at this place.

    Two machines that begin at once would otherwise do the same rows at the same pace, each before the other's are to
    be seen. From a place drawn by lot each does its own share, and passes over that of the other.
    """
    # Where less than a window is left, it is prepared already, and is not worth moving for.
    move = committer.crowded and np.count_nonzero(committer.wanted) > job.encoder.window
    committer.crowded = False
    return left.anywhere(_SLICE) if move else left.next(_SLICE)


def _encode_slice(job: Job, portion: Rows, committer: Committer) -> None:
    load = job.inputs.loader(job.request.first[portion])
    items, wanted = portion.tolist(), committer.wanted
    leaving = False

    def skip(item: int) -> bool:
        return leaving or not wanted[items[item]]

    stream = encode_stream(job.encoder, load, len(portion), job.settings.workers, committer.seconds, skip)
    with closing(stream) as results:
        for result in results:
            if isinstance(result, Encoded):
                committer.add(portion[result.items], result.vectors)
            else:
                committer.fail(items[result.item], result.reason)
            # Not left at once: what the model has already comes back.
            leaving |= committer.crowded and bool(np.count_nonzero(wanted) > job.encoder.window)
