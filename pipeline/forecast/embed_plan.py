"""What each `embed` entry would do: rows found, new and known to fail, their size and time; `plan` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline import paths
from pipeline.machine.settings import Settings
from pipeline.params.sections import Params
from stages.embed.params import EmbedParams
from store.errors import InputError
from store.files.outputs import read_small_json
from store.items.manifest import Manifest
from store.items.records import IMAGE
from store.results.cards import EntryCard

MatrixState = Literal["none", "ok", "stale"]


@dataclass(frozen=True)
class EmbedPlan:
    """One `embed` entry.

    Attributes
    ----------
    cached, new, failed : int or None
        Distinct contents that are in the store, would be computed, and are known to fail; None with a `problem`.
    new_bytes, store_bytes : int or None
        The size of the new rows, and of all that the store holds of this encoder, whichever data set it came from.
    seconds : float or None
        The time that the new rows take; None when it is not known.
    rate_of : str
        The entry whose last run on this machine tells the rate; "" when there is none.
    matrix : {"none", "ok", "stale"}
        Stale: made by another fingerprint, such as other weights under the same name, which DVC cannot see.
    fingerprint : str
        Of all that causes the vectors; "" when it is not known.
    problem : str
        Why the counts are not known; "" when they are.
    """

    name: str
    encoder: str
    matrix: MatrixState = "none"
    fingerprint: str = ""
    cached: int | None = None
    new: int | None = None
    failed: int | None = None
    new_bytes: int | None = None
    store_bytes: int | None = None
    seconds: float | None = None
    rate_of: str = ""
    problem: str = ""

    @property
    def contents(self) -> int | None:
        """Distinct contents of what it reads."""
        counts = [each for each in (self.cached, self.new, self.failed) if each is not None]
        return sum(counts) if counts else None


def plan_embed(name: str, params: Params, settings: Settings, stages: Sequence[str]) -> EmbedPlan:
    """Look every key of one entry up in the store; nothing is computed.

    Parameters
    ----------
    stages : sequence of str
        What `dvc repro` may run, as `fit@<entry>`.

    What is wrong with one entry, such as a model hub out of reach, becomes its `problem`.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    entry = params.embed[name]
    plan = EmbedPlan(name, entry.encoder, "ok" if _made_by(name) else "none")
    if f"fit@{entry.fit}" in stages or not paths.is_fitted(entry.fit):
        return replace(plan, problem=f"what fit@{entry.fit} makes is not known before it has run")
    try:
        return _counted(plan, entry, params, settings)
    except InputError as error:
        return replace(plan, problem=str(error))


def _counted(plan: EmbedPlan, entry: EmbedParams, params: Params, settings: Settings) -> EmbedPlan:
    from stages.embed.failures import KnownFailures
    from stages.embed.params import encoder_and_fingerprint, stored_type
    from stages.embed.request import make_request
    from stages.models.encoders.inputs import Inputs

    encoder, fingerprint = encoder_and_fingerprint(entry, paths.fitted(entry.fit))
    if _made_by(plan.name) not in {None, fingerprint.digest}:
        plan = replace(plan, matrix="stale")
    plan = replace(plan, fingerprint=fingerprint.digest)
    manifest = Manifest.open(paths.MANIFEST)
    if entry.field not in (IMAGE, *manifest.info.fields):
        return replace(plan, problem=f"the manifest has no field {entry.field!r} yet; `diptych prepare` will bring it")
    inputs = Inputs.of(manifest, entry.row.kind, entry.field)
    request = make_request(inputs, with_empty=entry.missing_rule == "encode_empty")
    log = settings.feature_store(params.store.format).open(fingerprint, encoder.dim, stored_type(entry, encoder))
    missing = ~log.locate(request.keys).found
    failed = len(KnownFailures(settings.failed_folder(), fingerprint).recall(request.keys, missing))
    new = int(np.count_nonzero(missing)) - failed
    seconds, rate_of = _time(plan.name, new, params)
    return replace(
        plan,
        cached=len(missing) - new - failed,
        new=new,
        failed=failed,
        new_bytes=new * encoder.dim * np.dtype(log.dtype).itemsize,
        store_bytes=sum(segment.size for segment, _ in log.files.all_entries()),
        seconds=seconds,
        rate_of=rate_of,
    )


def _made_by(name: str) -> str | None:
    """Return the fingerprint that made the present matrix, None when there is no matrix or its card is damaged."""
    fingerprint = EntryCard.read_sound(paths.card("embed", name)).made_of.get("fingerprint")
    return None if fingerprint is None else str(fingerprint)


def _time(name: str, new: int, params: Params) -> tuple[float | None, str]:
    """Return the seconds for `new` rows and the entry whose run tells so: this one, or one of the same encoder."""
    if not new:
        return 0.0, ""
    others = [each for each in params.embed if each != name]
    for each in (name, *others):
        run = read_small_json(paths.RUNS / f"embed-{each}.json")
        rate, load = run.get("rate"), run.get("seconds", {}).get("load", 0.0)
        # By what was noted then, because the entry of that name may ask for another encoder by now.
        if rate and [run.get("encoder"), run.get("model")] == [params.embed[name].encoder, params.embed[name].model]:
            return float(load) + new / float(rate), each
    return None, ""
