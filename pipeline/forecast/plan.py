"""`diptych plan`: what a run would do, before it does it: what `embed_plan` counts, and the stages that follow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.forecast.embed_plan import EmbedPlan, plan_embed
from pipeline.forecast.watched import changed_since_manifest, refuse_odd_files, told
from pipeline.journal.console import PlainTable, out
from pipeline.machine.settings import Settings
from pipeline.params.sections import Params
from pipeline.wiring import features_of
from stages.contract import Progress
from stages.prepare.unwatched import Changes
from store.errors import RunError

_UNCHANGED = Changes(0)


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes
    ----------
    prepared : bool
        False when the manifest is not there or will be made again.
    encoders : list of EmbedPlan
    changed, stages : list of str
        The stages that DVC finds changed, and all that may run.
    unwatched : Changes or None
        What became of the files that the manifest was made from where DVC does not watch; None where this machine has
        no notes of them.
    """

    prepared: bool
    encoders: list[EmbedPlan]
    changed: list[str]
    stages: list[str]
    unwatched: Changes | None = _UNCHANGED

    @property
    def total(self) -> dict[str, int | float]:
        """The sums over the entries whose counts are known."""
        names = ("cached", "new", "failed", "new_bytes", "seconds")
        # Entries over several fields may share an encoder, and so a place in the store.
        stored = {each.fingerprint: each.store_bytes or 0 for each in self.encoders}
        sums = {name: sum(getattr(each, name) or 0 for each in self.encoders) for name in names}
        return {**sums, "store_bytes": sum(stored.values())}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        rows = [{**asdict(each), "contents": each.contents} for each in self.encoders]
        return {**asdict(self), "encoders": rows, "total": self.total}


def make_plan(params: Params, settings: Settings, progress: Progress) -> Plan:
    """Ask DVC what changed, follow it downstream, and look up every key in the store; nothing is computed."""
    refuse_odd_files(Path(params.prepare.path))
    changed = _changed_stages()
    prepared = paths.MANIFEST.is_file()
    stages = affected(params, changed)
    encoders = [plan_embed(name, params, settings, stages) for name in params.embed] if prepared else []
    stays = prepared and "prepare" not in changed  # or all is read again
    unwatched = changed_since_manifest(params.prepare, progress) if stays else _UNCHANGED
    return Plan(stays, encoders, changed, stages, unwatched)


def print_plan(plan: Plan) -> None:
    """Print the plan for a person."""
    if not plan.encoders:
        out.print("There is no manifest yet: `diptych prepare` writes it, and then the plan counts what to embed.")
    elif not plan.prepared:
        out.print("The manifest will be made again: the counts below are those of the present one.")
    if plan.encoders:
        out.print(_table(plan))
    for each in plan.encoders:
        for note in _notes(each, plan):
            out.print(f"{each.name}: {note}", markup=False)
    if behind := _behind(plan.unwatched):
        out.print(behind, markup=False)
    if not plan.changed:
        found = "DVC finds nothing changed" if behind else "Nothing changed"
        out.print(f"{found}: `dvc repro` would run no stage.")
        return
    if set(plan.changed) != set(plan.stages):
        out.print(f"Changed: {', '.join(plan.changed)}", markup=False)
    out.print(f"`dvc repro` may run {len(plan.stages)} stages: {', '.join(plan.stages)}", markup=False)


def _behind(unwatched: Changes | None) -> str:
    """Say what DVC cannot know of the files that `prepare` read; "" where there is nothing to say."""
    if unwatched is None:
        return (
            "DVC watches `prepare.path` alone, not the pictures, and here is no note of how they were: whether they "
            "changed is not known until `prepare` has run on this machine (`dvc repro --force prepare`)."
        )
    if not unwatched.changed:
        return ""
    return (
        f"Changed since `prepare`, where DVC does not watch: {told(unwatched)}. Run `dvc repro --force prepare`, then "
        "`dvc repro`."
    )


def _table(plan: Plan) -> PlainTable:
    table = PlainTable("embed", "matrix", numbers=("cached", "new", "failed", "new data", "in store", "time"))
    for each in plan.encoders:
        counts = ("?" if count is None else str(count) for count in (each.cached, each.new, each.failed))
        sizes = ("?" if size is None else _size(size) for size in (each.new_bytes, each.store_bytes))
        time = "?" if each.problem else "no rate yet" if each.seconds is None else _duration(each.seconds)
        table.add_row(each.name, each.matrix, *counts, *sizes, time)
    sums = plan.total
    open_ended = any(each.seconds is None for each in plan.encoders)
    counts = (str(sums[name]) for name in ("cached", "new", "failed"))
    sizes = (_size(sums[name]) for name in ("new_bytes", "store_bytes"))
    time = _duration(sums["seconds"])
    table.add_section()
    table.add_row("all", "", *counts, *sizes, f"{time} + ?" if open_ended else time)
    return table


def _notes(each: EmbedPlan, plan: Plan) -> Iterator[str]:
    """Say what the row of an entry has no room for."""
    if each.problem:
        yield each.problem
    if each.rate_of not in {"", each.name}:
        yield f"the time is told by the rate of {each.rate_of}, which has the same encoder"
    if each.failed:
        yield (
            f"{each.failed} contents are known to fail and are not tried again; `diptych embed {each.name} "
            "--retry-failed` tries them"
        )
    if each.matrix == "stale" and f"embed@{each.name}" not in plan.stages:
        yield (
            "the encoder is no longer the one that made the matrix (other weights or another version under the same "
            f"name), which DVC cannot see: run `dvc repro --force embed@{each.name}`"
        )


def _size(size: float) -> str:
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size:.0f} B"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _changed_stages() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], capture_output=True, text=True, check=False
    )
    if "rwlock" in done.stderr:
        raise RunError("plan: expected no run under way; found DVC's lock held; try again when `dvc repro` has ended")
    if done.returncode:
        raise RunError(f"plan: expected `dvc status` to work here; found: {done.stderr.strip()}")
    return sorted(json.loads(done.stdout.strip().splitlines()[-1]))


def affected(params: Params, changed: Iterable[str]) -> list[str]:
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
    return sorted(reached, key=lambda stage: _turn(stage, order))


def _turn(stage: str, order: Sequence[str]) -> float:
    """Return where a stage stands in a run: `wire@train` before the first stage of `train`."""
    if stage in order:
        return order.index(stage)
    verb = stage.removeprefix("wire@")
    return next((at - 0.5 for at, each in enumerate(order) if each.startswith(f"{verb}@")), float(len(order)))


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
    for verb in ("fit", *paths.PRODUCERS):
        for name in getattr(params, verb):
            graph[f"{verb}@{name}"].append("report")
    return {**graph, "report": []}
