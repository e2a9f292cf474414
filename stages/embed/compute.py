"""Compute what the store lacks of a request: look up, encode, commit, look up again; `run` exports what is then there.

`batching` drives the encoder, `commit` gates and stores the rows.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress
from stages.embed.commit import Committer
from stages.embed.params import EmbedParams
from stages.embed.request import Request, Rows, loader
from stages.encoders.batching import Encoded, encode_stream
from stages.encoders.device import resolve_device
from stages.encoders.protocol import Encoder
from stages.encoders.timing import Seconds
from stages.errors import RunError
from stages.items import Manifest
from store import EncoderLog, FeatureStore, Locations

_SLICE = 65_536  # contents read, encoded and forgotten together, so that memory does not grow with the data set
_ROUNDS = 3


@dataclass(frozen=True)
class EmbedSettings:
    """What does not change the vectors: where the store is, which device computes, how often rows are committed."""

    store: FeatureStore
    device: str = "auto"
    workers: int = 2
    commit_seconds: float = 5.0
    commit_bytes: int = 32 << 20


@dataclass(frozen=True)
class Job:
    """One run of `embed`: what is wanted, who encodes it, and where it is kept."""

    params: EmbedParams
    manifest: Manifest
    request: Request
    encoder: Encoder
    log: EncoderLog
    settings: EmbedSettings
    progress: Progress


@dataclass(frozen=True)
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
    """

    locations: Locations
    computed: NDArray[np.bool_]
    failures: dict[int, str]
    seconds: Seconds


def fill_store(job: Job) -> Filled:
    """Encode every content that the store lacks; the model is loaded only when there is one.

    Raises
    ------
    RunError
        When rows vanish from the store as fast as they are computed.
    """
    locations = job.log.locate(job.request.keys)
    filled = Filled(locations, np.zeros(len(locations), dtype=bool), {}, Seconds())
    missing = _missing(filled)
    if not len(missing):
        return filled
    device = _load(job, filled.seconds)
    # Once is enough, unless a segment that was there is removed or damaged meanwhile: its rows are computed again.
    for _ in range(_ROUNDS):
        filled.computed[missing] = True
        _compute(job, missing, device, filled)
        filled = Filled(job.log.locate(job.request.keys), filled.computed, filled.failures, filled.seconds)
        missing = _missing(filled)
        if not len(missing):
            return filled
    raise RunError(
        f"embed: expected the rows just computed in {job.log.shown}; found {len(missing)} of them removed or damaged; "
        "look at it with `diptych store verify`, and run again."
    )


def _missing(filled: Filled) -> Rows:
    missing = ~filled.locations.found
    missing[list(filled.failures)] = False
    return np.flatnonzero(missing)


def _load(job: Job, seconds: Seconds) -> str:
    """Load the model and return the device it is on; before that, see that its work can be kept."""
    job.log.probe_writable()  # hours of computing must not end at a read-only folder
    device = resolve_device(job.settings.device) if job.encoder.engine == "torch" else "cpu"
    with seconds.of("load"):
        job.encoder.load(device)
    return device


def _compute(job: Job, missing: Rows, device: str, filled: Filled) -> None:
    """Encode and store the missing contents, in the order of the manifest; add the failures to `filled`."""
    provenance = {"engine": job.encoder.engine, "device": device.partition(":")[0], "compute_dtype": "float32"}
    cached = int(np.count_nonzero(filled.locations.found))
    title = f"embed {job.params.field} {job.params.encoder} ({cached} cached)"
    with job.progress.track(title, len(missing)) as bar:
        committer = Committer(
            job.log,
            job.request.keys,
            provenance,
            bar,
            job.settings.commit_seconds,
            job.settings.commit_bytes,
            filled.seconds,
            filled.failures,
        )
        try:
            for start in range(0, len(missing), _SLICE):
                _encode_slice(job, missing[start : start + _SLICE], committer)
        finally:
            committer.commit()  # on Ctrl-C and SIGTERM too: finished rows are never thrown away


def _encode_slice(job: Job, wanted: Rows, committer: Committer) -> None:
    load = loader(job.manifest, job.params.field, job.params.row.kind, job.request, wanted)
    stream = encode_stream(job.encoder, load, len(wanted), job.settings.workers, committer.seconds)
    with closing(stream) as results:
        for result in results:
            if isinstance(result, Encoded):
                committer.add(wanted[result.items], result.vectors)
            else:
                committer.fail(int(wanted[result.item]), result.reason)
