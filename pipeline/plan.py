"""`diptych plan`: what a run would do, before it does it: hits and misses per encoder, time, stages that follow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pipeline import paths
from pipeline.console import out, plain_table
from pipeline.params import Params
from pipeline.settings import Settings
from pipeline.wire import features_of
from stages.errors import RunError
from stages.records import IMAGE


@dataclass(frozen=True)
class EncoderPlan:
    """One `embed` entry.

    Attributes
    ----------
    contents, cached, missing : int or None
        Distinct contents, and how many of them are in the store; None when the present manifest lacks the field, or the
        encoder is not fitted yet.
    failed : int
        In the last run on this machine.
    seconds : float or None
        None when no earlier run tells the rate, or the counts are not known.
    stale : bool
        The matrix was made by another fingerprint, such as other weights under the same name: DVC cannot see that.
    """

    name: str
    encoder: str
    contents: int | None
    cached: int | None
    missing: int | None
    failed: int
    seconds: float | None
    stale: bool


@dataclass(frozen=True)
class Plan:
    """What a run would do; `prepared` is False when the manifest is not there or will be made again."""

    prepared: bool
    encoders: list[EncoderPlan]
    changed: list[str]
    stages: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def make_plan(params: Params, settings: Settings) -> Plan:
    """Ask DVC what changed, follow it downstream, and look up every key in the store; nothing is computed."""
    changed = _changed_stages()
    prepared = paths.MANIFEST.is_file()
    stages = _affected(params, changed)
    encoders = [_encoder_plan(name, params, settings, stages) for name in params.embed] if prepared else []
    return Plan(prepared and "prepare" not in changed, encoders, changed, stages)


def print_plan(plan: Plan) -> None:
    """Print the plan for a person."""
    if not plan.prepared:
        out.print("The manifest is not there or will be made again: the counts below are those of the present one.")
    table = plain_table("embed", "encoder", numbers=("contents", "cached", "missing", "failed before", "time"))
    for each in plan.encoders:
        time = "?" if each.contents is None else "no rate yet" if each.seconds is None else f"{each.seconds:.0f} s"
        counts = ("?" if count is None else str(count) for count in (each.contents, each.cached, each.missing))
        table.add_row(each.name, each.encoder, *counts, str(each.failed), time)
    out.print(table)
    for each in plan.encoders:
        if each.stale and f"embed@{each.name}" not in plan.stages:
            out.print(
                f"The encoder of {each.name} is no longer the one that made its matrix (other weights or another "
                f"version under the same name), which DVC cannot see: run `dvc repro --force embed@{each.name}`."
            )
    if not plan.changed:
        out.print("Nothing changed: `dvc repro` would run no stage.")
        return
    out.print(f"Changed: {', '.join(plan.changed)}", markup=False)
    out.print(f"`dvc repro` may run {len(plan.stages)} stages: {', '.join(plan.stages)}", markup=False)


def _encoder_plan(name: str, params: Params, settings: Settings, stages: list[str]) -> EncoderPlan:
    from stages.embed.request import make_request
    from stages.embed.run import encoder_and_fingerprint, stored_type
    from stages.items import Manifest

    entry, (rate, failed) = params.embed[name], _last_run(name)
    unknown = EncoderPlan(name, entry.encoder, None, None, None, failed, None, stale=False)
    if f"fit@{entry.fit}" in stages or not paths.is_fitted(entry.fit):  # nobody knows what it will be
        return unknown
    encoder, fingerprint = encoder_and_fingerprint(entry, paths.fitted(entry.fit))
    stale = _made_by(name) not in {None, fingerprint.digest}
    manifest = Manifest.open(paths.MANIFEST)
    if entry.field not in (IMAGE, *manifest.info.fields):  # the next `prepare` will bring it
        return replace(unknown, stale=stale)
    request = make_request(manifest, entry.field, with_empty=entry.missing_rule == "encode_empty")
    log = settings.feature_store(params.store.format).open(fingerprint, encoder.dim, stored_type(entry, encoder))
    cached = int(np.count_nonzero(log.locate(request.keys).found))
    missing = len(request.keys) - cached
    seconds = 0.0 if not missing else missing / rate if rate else None
    return EncoderPlan(name, entry.encoder, len(request.keys), cached, missing, failed, seconds, stale)


def _made_by(name: str) -> str | None:
    """Return the fingerprint that made the present matrix, None when there is no matrix."""
    card = paths.card("embed", name)
    return str(json.loads(card.read_text("utf-8"))["fingerprint"]) if card.is_file() else None


def _last_run(name: str) -> tuple[float, int]:
    """Return rows per second and failures of the last run of an entry on this machine; zeros when there is none."""
    path = paths.RUNS / f"embed-{name}.json"
    if not path.is_file():
        return 0.0, 0
    content = json.loads(path.read_text("utf-8"))
    return float(content.get("rate", 0.0)), int(content.get("failed", 0))


def _changed_stages() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], capture_output=True, text=True, check=False
    )
    if "rwlock" in done.stderr:
        raise RunError("plan: expected no run under way; found DVC's lock held; try again when `dvc repro` has ended")
    if done.returncode:
        raise RunError(f"plan: expected `dvc status` to work here; found: {done.stderr.strip()}")
    return sorted(json.loads(done.stdout.strip().splitlines()[-1]))


def _affected(params: Params, changed: Iterable[str]) -> list[str]:
    """Return every stage that may run: the changed ones and those that read, directly or not, what they write."""
    graph = _readers(params)
    order = list(graph)
    reached: set[str] = set()
    stack = list(changed)
    while stack:
        stage = stack.pop()
        if stage not in reached:
            reached.add(stage)
            stack += graph.get(stage, [])
    return sorted(reached, key=lambda stage: order.index(stage) if stage in order else len(order))


def _readers(params: Params) -> dict[str, list[str]]:
    """Return, for each stage in the order of a run, the stages that read what it writes.

    Finer than DVC's own graph: through the `wire` files an experiment depends on its own features only.
    """
    fits = [f"fit@{name}" for name in params.fit]
    graph: dict[str, list[str]] = {"prepare": ["split", *fits], "split": fits[:], **{fit: [] for fit in fits}}
    for verb in (*paths.PRODUCERS, "train", "retrieve"):
        for name, entry in getattr(params, verb).items():
            stage = f"{verb}@{name}"
            graph[stage] = []
            if verb == "embed":
                graph["prepare"].append(stage)
                if entry.fit is not None:
                    graph[f"fit@{entry.fit}"].append(stage)
            else:
                graph["split"].append(stage)
            for feature in features_of(entry):
                graph[f"{params.matrices.producer_of[feature]}@{feature}"].append(stage)
    for name in params.train:
        graph[f"evaluate@{name}"] = ["report"]
        graph[f"train@{name}"].append(f"evaluate@{name}")
    for name in params.retrieve:
        graph[f"retrieve@{name}"].append("report")
    for name in params.embed:
        graph[f"embed@{name}"].append("report")
    return {**graph, "report": []}
