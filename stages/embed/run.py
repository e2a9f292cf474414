"""Run `embed`: ask the store which contents are missing, compute only those, then write the aligned matrix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from stages.contract import Progress
from stages.embed.compute import Filled, Job, fill_store
from stages.embed.export import export
from stages.embed.failures import refuse_failures, write_failures
from stages.embed.params import EmbedParams
from stages.embed.request import make_request
from stages.embed.settings import EmbedSettings
from stages.encoders.catalog import build_encoder
from stages.encoders.protocol import Encoder
from stages.items import Manifest
from store import CorruptSegment, Fingerprint, RowsRemoved

__all__ = ["EmbedInputs", "EmbedOutputs", "EmbedResult", "EmbedSettings", "encoder_and_fingerprint", "run"]

_ROUNDS = 3


@dataclass(frozen=True)
class EmbedInputs:
    """What `embed` reads."""

    manifest: Path


@dataclass(frozen=True)
class EmbedOutputs:
    """What `embed` writes: the matrix, its git-tracked card, and the list of failed items."""

    matrix: Path
    card: Path
    failed: Path


@dataclass(frozen=True)
class EmbedResult:
    """What became of the distinct contents.

    Attributes
    ----------
    cached, new, failed : int
        Found in the store, computed now, and without a vector.
    rate : float
        Contents computed per second.
    seconds : dict
        By part of the work.
    known : int
        How many of the failed were known before and not tried again.
    """

    cached: int
    new: int
    failed: int
    rate: float
    seconds: dict[str, float]
    known: int = 0


def encoder_and_fingerprint(params: EmbedParams) -> tuple[Encoder, Fingerprint]:
    """Build the encoder and the record of all that causes its vectors; nothing heavy is loaded.

    Raises
    ------
    InputError
        When the model's files are not there, or do not go with the other choices.
    """
    encoder = build_encoder(params.encoder, params.choice)
    record = {**encoder.identity(), "numeric_contract": "exact", "dtype": params.dtype}
    return encoder, Fingerprint.of(params.encoder, record)


def run(
    params: EmbedParams, inputs: EmbedInputs, outputs: EmbedOutputs, settings: EmbedSettings, progress: Progress
) -> EmbedResult:
    """Embed one field of every item.

    Raises
    ------
    InputError
        When the manifest has no such field, or the model's files are wrong.
    RunError
        When more items failed than `params.max_failed_share` allows; the good ones are in the store.
    StoreError
        When the store cannot be read or written; what was committed before is intact.
    """
    manifest = Manifest.open(inputs.manifest)
    encoder, fingerprint = encoder_and_fingerprint(params)
    log = settings.store.open(fingerprint, encoder.dim, params.dtype)
    request = make_request(manifest, params.field, with_empty=params.missing_rule == "encode_empty")
    job = Job(params, manifest, request, encoder, log, settings, progress)
    return _result(_fill_and_export(job, outputs))


def _fill_and_export(job: Job, outputs: EmbedOutputs) -> Filled:
    filled = fill_store(job)
    for attempt in range(1, _ROUNDS + 1):
        write_failures(outputs.failed, job.manifest, job.request, filled.failures)
        refuse_failures(job.params, job.request, filled.failures)
        try:
            with filled.seconds.of("write"):
                export(job, filled.locations, outputs.matrix, outputs.card)
            break
        except (CorruptSegment, RowsRemoved):
            # A segment that was damaged or removed after its keys were noted is seen only when its rows are read: they
            # are then missing, and are computed again.
            if attempt == _ROUNDS:
                raise
        filled = fill_store(job, filled)
    return filled


def _result(filled: Filled) -> EmbedResult:
    computed, failed = int(np.count_nonzero(filled.computed)), len(filled.failures)
    spent = filled.seconds.prepare + filled.seconds.infer
    return EmbedResult(
        cached=len(filled.computed) - computed - filled.known,
        new=computed - failed + filled.known,
        failed=failed,
        rate=round((computed - failed + filled.known) / max(spent, 1e-9), 2),
        seconds={name: round(value, 3) for name, value in asdict(filled.seconds).items()},
        known=filled.known,
    )
