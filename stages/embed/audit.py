"""Encode a random sample of stored rows again and compare: finds wrong hardware, wrong weights and planted vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.contract import Progress, Tracker
from stages.embed.params import EmbedParams, encoder_and_fingerprint, stored_type
from stages.embed.request import Rows, make_request
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.running.batching import Encoded, Failed, Seconds, encode_stream
from stages.models.encoders.running.engines import Engine, place
from store import FeatureStore, cosines
from store.items.manifest import Manifest

# Both vectors keep the numeric contract against the reference, so they may differ by twice its angle; `exact` leaves
# room for the rounding of half precision and of another batch size.
_LIMITS = {"exact": 0.9999, "fast": 0.996}


@dataclass(frozen=True)
class AuditResult:
    """What came of encoding stored rows again.

    Attributes
    ----------
    stored : int
        Contents of the manifest that the store has.
    checked : int
    failed : int
        Sampled contents that can no longer be read or encoded.
    lowest : float
        The lowest cosine of a stored and a new vector; 1.0 when none was checked.
    limit : float
    wrong : list of (id, cosine)
        Items whose stored vector is another one.
    """

    stored: int
    checked: int
    failed: int
    lowest: float
    limit: float
    wrong: list[tuple[str, float]]


@dataclass(frozen=True)
class AuditSettings:
    """How to audit: the share of stored rows (at least one row), the seed of the sample, and the machine."""

    share: float
    seed: int = 0
    device: str = "auto"
    engine: Engine = "auto"
    workers: int = 2


def audit(
    params: EmbedParams,
    manifest: Manifest,
    store: FeatureStore,
    settings: AuditSettings,
    progress: Progress,
    fitted: Path | None = None,
) -> AuditResult:
    """Sample the stored rows of one `embed` entry and encode them again; nothing is written.

    Parameters
    ----------
    fitted : Path, optional
        Folder of what `fit` wrote, for a fitted encoder.

    Raises
    ------
    InputError
        When the manifest has no such field, or the model's files are wrong.
    StoreError
        When the store cannot be read.
    """
    encoder, fingerprint = encoder_and_fingerprint(params, fitted)
    log = store.open(fingerprint, encoder.dim, stored_type(params, encoder))
    inputs = Inputs.of(manifest, params.row.kind, params.field)
    request = make_request(inputs, with_empty=False)
    located = log.locate(request.keys)
    found = np.flatnonzero(located.found)
    limit = _LIMITS[str(fingerprint.record["numeric_contract"])]
    if not len(found):
        return AuditResult(0, 0, 0, 1.0, limit, [])
    count = min(len(found), max(1, round(settings.share * len(found))))
    sample = np.sort(np.random.default_rng(settings.seed).choice(found, count, replace=False))
    encoder.load(place(encoder, settings.device, settings.engine, params.precision))
    stream = encode_stream(encoder, inputs.loader(request.first[sample]), count, settings.workers, Seconds())
    with progress.track(f"encode again {inputs.name} {params.encoder}", count) as bar:
        cosine = _compare(stream, partial(log.read, located), sample, bar)
    return _result(manifest, request.first[sample], cosine, len(found), limit)


def _compare(
    stream: Iterable[Encoded | Failed], read: Callable[[Rows], NDArray[np.floating[Any]]], sample: Rows, bar: Tracker
) -> NDArray[np.float64]:
    """Give the cosine of each sampled row's stored and new vector; NaN where the content failed."""
    cosine = np.full(len(sample), np.nan)
    for result in stream:
        if isinstance(result, Encoded):
            cosine[result.items] = cosines(result.vectors, read(sample[result.items]))
        bar.advance(len(result.items) if isinstance(result, Encoded) else 1)
    return cosine


def _result(manifest: Manifest, rows: Rows, cosine: NDArray[np.float64], stored: int, limit: float) -> AuditResult:
    checked = ~np.isnan(cosine)
    wrong = np.flatnonzero(checked & (cosine < limit))
    ids = _ids(manifest, rows[wrong])
    return AuditResult(
        stored=stored,
        checked=int(checked.sum()),
        failed=int((~checked).sum()),
        lowest=float(np.nanmin(cosine)) if checked.any() else 1.0,
        limit=limit,
        wrong=[(name, float(cosine[at])) for name, at in zip(ids, wrong.tolist(), strict=True)],
    )


def _ids(manifest: Manifest, rows: Rows) -> list[str]:
    if not len(rows):
        return []
    ids = manifest.ids()
    return [ids[row] for row in rows.tolist()]
