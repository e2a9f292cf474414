"""Run `embed`: ask the store which contents are missing, compute only those, then write the aligned matrix."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from stages.contract import Progress
from stages.embed.compute import Committer
from stages.embed.export import Export, export
from stages.embed.params import EmbedParams
from stages.embed.request import Request, Rows, loader, make_request
from stages.encoders.batching import Encoded, encode_stream
from stages.encoders.catalog import build_encoder
from stages.encoders.device import resolve_device
from stages.encoders.protocol import Encoder
from stages.encoders.timing import Seconds
from stages.errors import RunError
from stages.items import Manifest
from stages.outputs import write_lines
from store import EncoderLog, FeatureStore, Fingerprint

_SLICE = 65_536  # contents read, encoded and forgotten together, so that memory does not grow with the data set


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
class EmbedSettings:
    """What does not change the vectors: where the store is, which device computes, how often rows are committed."""

    store: FeatureStore
    device: str = "auto"
    workers: int = 2
    commit_seconds: float = 5.0
    commit_bytes: int = 32 << 20


@dataclass(frozen=True)
class EmbedResult:
    """Distinct contents found in the store, computed now, and failed; contents per second, seconds by part."""

    cached: int
    new: int
    failed: int
    rate: float
    seconds: dict[str, float]


def encoder_and_fingerprint(params: EmbedParams) -> tuple[Encoder, Fingerprint]:
    """Build the encoder and the record of all that causes its vectors; nothing heavy is loaded."""
    encoder = build_encoder(params.encoder, params.choice)
    record = {**encoder.identity(), "numeric_contract": "exact", "dtype": params.dtype}
    return encoder, Fingerprint.of(params.encoder, record)


def run(
    params: EmbedParams, inputs: EmbedInputs, outputs: EmbedOutputs, settings: EmbedSettings, progress: Progress
) -> EmbedResult:
    """Embed one field of every item.

    Raises
    ------
    RunError
        When more items failed than `params.max_failed_share` allows; the good ones are in the store.
    """
    manifest = Manifest.open(inputs.manifest)
    encoder, fingerprint = encoder_and_fingerprint(params)
    log = settings.store.open(fingerprint, encoder.dim, params.dtype)
    request = make_request(manifest, params.field, with_empty=params.missing_rule == "encode_empty")
    missing = np.flatnonzero(~log.locate(request.keys).found)
    seconds = Seconds()
    failures: dict[int, str] = {}
    if len(missing):
        work = _Work(params, manifest, request, missing, encoder, log, settings, seconds)
        failures = _compute(work, progress)
    _write_failures(outputs.failed, manifest, request, failures)
    _refuse_too_many(params, request, failures)
    with seconds.of("write"):
        export(Export(params, manifest, request, log), outputs.matrix, outputs.card)
    return EmbedResult(
        cached=len(request.keys) - len(missing),
        new=len(missing) - len(failures),
        failed=len(failures),
        rate=round((len(missing) - len(failures)) / max(seconds.prepare + seconds.infer, 1e-9), 2),
        seconds={name: round(value, 3) for name, value in asdict(seconds).items()},
    )


@dataclass(frozen=True)
class _Work:
    params: EmbedParams
    manifest: Manifest
    request: Request
    missing: Rows
    encoder: Encoder
    log: EncoderLog
    settings: EmbedSettings
    seconds: Seconds


def _compute(work: _Work, progress: Progress) -> dict[int, str]:
    """Encode the missing contents; return the failures by position in the request."""
    work.log.probe_writable()  # hours of computing must not end at a read-only folder
    device = resolve_device(work.settings.device)
    with work.seconds.of("load"):
        work.encoder.load(device)
    provenance = {"engine": "torch", "device": device.partition(":")[0], "compute_dtype": "float32"}
    cached = len(work.request.keys) - len(work.missing)
    with progress.track(f"embed {work.params.field} {work.params.encoder} ({cached} cached)", len(work.missing)) as bar:
        committer = Committer(
            work.log,
            work.request.keys,
            work.params.dtype,
            provenance,
            bar,
            work.settings.commit_seconds,
            work.settings.commit_bytes,
            work.seconds,
        )
        try:
            _encode_all(work, committer)
        finally:
            committer.commit()  # on Ctrl-C and SIGTERM too: finished rows are never thrown away
    return committer.failures


def _encode_all(work: _Work, committer: Committer) -> None:
    for start in range(0, len(work.missing), _SLICE):
        wanted = work.missing[start : start + _SLICE]
        load = loader(work.manifest, work.params.field, work.params.row.kind, work.request, wanted)
        stream = encode_stream(work.encoder, load, len(wanted), work.settings.workers, work.seconds)
        for result in stream:
            if isinstance(result, Encoded):
                committer.add(wanted[result.items], result.vectors)
            else:
                committer.fail(int(wanted[result.item]), result.reason)


def _write_failures(path: Path, manifest: Manifest, request: Request, failures: dict[int, str]) -> None:
    """Write every item that got no vector, with the reason; only the header when there are none."""
    ids = manifest.ids() if failures else []
    rows = ((ids[row], failures[int(at)]) for row, at in enumerate(request.inverse) if int(at) in failures)
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "reason"])
        writer.writerows(rows if failures else ())


def _refuse_too_many(params: EmbedParams, request: Request, failures: dict[int, str]) -> None:
    share = len(failures) / max(1, len(request.keys))
    if share > params.max_failed_share:
        reasons = sorted(set(failures.values()))[:3]
        raise RunError(
            f"embed: expected at most {params.max_failed_share:.0%} of the contents to fail; found {len(failures)} of "
            f"{len(request.keys)} ({'; '.join(reasons)}); mend the inputs or raise max_failed_share. "
            "The good rows are in the store."
        )
