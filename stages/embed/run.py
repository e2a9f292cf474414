"""Run `embed`: ask the store which contents are missing, compute only those, then write the aligned matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stages.contract import Progress
from stages.embed.compute import Job, compute_here, fill_store, open_ledger
from stages.embed.export import Alike, export
from stages.embed.failures import refuse_failures, write_failures
from stages.embed.params import EmbedParams, encoder_and_fingerprint, stored_type
from stages.embed.portions import compute_apart
from stages.embed.request import Ledger, make_request
from stages.embed.settings import EmbedSettings
from stages.models.encoders.inputs import Inputs
from store import CorruptSegment, RowsRemoved
from store.errors import DiptychError, RunError
from store.items.manifest import Manifest

ROUNDS = 3
"""How often at most a run computes what the store lacks and exports all: once, and again while rows that it computed or
found are removed or damaged behind its back; no other loop brings back lost rows. What stays lost ends the run."""


@dataclass(frozen=True)
class EmbedInputs:
    """What `embed` reads: the manifest, and for a fitted encoder what `fit` wrote."""

    manifest: Path
    fitted: Path | None = None


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
        By phase of the work; see `Seconds`.
    bottleneck : str
        The phase that the others waited for; "" when nothing was computed.
    runtime : str
        What computed, such as "openvino bfloat16 on cpu"; "" when nothing was.
    known : int
        How many of the failed were known before and not tried again.
    notes : dict
        What the encoder counted among the new ones, such as `truncated`; see `Encoder.notes`.
    alike : Alike
        The texts, new or not, that have the vector of another text.
    """

    cached: int
    new: int
    failed: int
    rate: float
    seconds: dict[str, float]
    bottleneck: str = ""
    runtime: str = ""
    known: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    alike: Alike = field(default_factory=Alike)


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
    encoder, fingerprint = encoder_and_fingerprint(params, inputs.fitted)
    log = settings.store.open(fingerprint, encoder.dim, stored_type(params, encoder))
    given = Inputs.of(manifest, params.row.kind, params.field)
    request = make_request(given, with_empty=params.missing_rule == "encode_empty")
    job = Job(params, given, request, encoder, log, settings, progress, inputs.fitted, outputs.matrix)
    return _result(*_fill_and_export(job, outputs))


def _fill_and_export(job: Job, outputs: EmbedOutputs) -> tuple[Ledger, Alike]:
    executor = job.settings.executor
    compute = compute_apart if executor is not None and executor.apart else compute_here
    ledger = open_ledger(job)
    lost: DiptychError
    for _ in range(ROUNDS):
        fill_store(job, compute, ledger)
        if ledger.left:
            lost = _vanished(ledger)
            continue
        write_failures(outputs.failed, job.inputs.manifest, job.request, ledger.failures)
        refuse_failures(job.params, job.request, ledger.failures)
        try:
            with ledger.seconds.of("write"):
                return ledger, export(job, ledger.locations, outputs.matrix, outputs.card)
        except (CorruptSegment, RowsRemoved) as error:
            # A segment that was damaged or removed after its keys were noted is seen only when its rows are read.
            lost = error
    raise lost


def _vanished(ledger: Ledger) -> RunError:
    return RunError(
        f"embed: expected the rows just computed in {ledger.log.shown}; found {ledger.left} of them removed or "
        "damaged; look at it with `diptych store verify`, and run again."
    )


def _result(ledger: Ledger, alike: Alike) -> EmbedResult:
    computed, failed = int(np.count_nonzero(ledger.computed)), len(ledger.failures)
    runtime, seconds, known = ledger.runtime, ledger.seconds, ledger.known
    new = computed - failed + known
    return EmbedResult(
        cached=len(ledger.computed) - computed - known,
        new=new,
        failed=failed,
        rate=round(new / max(seconds.wall, 1e-9), 2),
        seconds={name: round(value, 3) for name, value in seconds.by_phase().items()},
        bottleneck=seconds.bottleneck if runtime else "",
        runtime=f"{runtime.engine} {runtime.compute_dtype} on {runtime.device}" if runtime else "",
        known=known,
        notes=ledger.notes,
        alike=alike,
    )
