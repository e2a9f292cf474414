"""The ten verbs: give each stage its typed parameters and its paths, and say in one line what it did."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.forecast.preflight import refuse_lack
from pipeline.forecast.watched import refuse_odd_files
from pipeline.journal.console import ConsoleProgress, out
from pipeline.journal.notices import told_alike
from pipeline.journal.recorded import Recorder, entry, recorded
from pipeline.journal.times import Spent
from pipeline.machine.executors import DaskExecutor, SerialExecutor, make_executor
from pipeline.machine.settings import Settings, load_settings
from pipeline.params.sections import Params, load_params
from pipeline.wiring import refuse_other_fit, stated_digests
from stages.models.catalog import did_you_mean
from stages.models.encoders.image.decoding import allow_pixels
from stages.models.workers import WorkerPool
from store import remember_verifications
from store.errors import InputError
from store.files.outputs import write_json
from store.files.reading import printable, trust_roots

# Stage packages are imported by the verb that runs them: torch and scikit-learn take seconds.


@dataclass(frozen=True)
class Session:
    """One call of the command line: what is asked for, the machine's settings, and the options of `embed`."""

    params: Params
    settings: Settings
    progress: ConsoleProgress
    executor: SerialExecutor | DaskExecutor
    retry_failed: bool = False
    allow_split_mismatch: bool = False

    @classmethod
    def open(cls, *, retry_failed: bool = False, allow_split_mismatch: bool = False) -> Session:
        """Go to the project's root and read its params and settings; each matrix below it is verified once per file.

        Raises
        ------
        InputError
            When there is no project here, or its params or settings are wrong.
        """
        os.chdir(paths.find_root(Path.cwd()))
        settings = load_settings(paths.LOCAL_FILE, os.environ)
        trust_roots(settings.trusted_roots)
        remember_verifications(paths.VERIFIED)
        params = load_params(paths.PARAMS_FILE)
        allow_pixels(params.prepare.max_pixels)
        return cls(params, settings, ConsoleProgress(), make_executor(settings), retry_failed, allow_split_mismatch)

    @property
    def pool(self) -> WorkerPool:
        """The executor, with the folders that its workers share with us."""
        return WorkerPool(self.executor, paths.SCRATCH, paths.VERIFIED)


def run_verb(verb: str, name: str | None, *, retry_failed: bool = False, allow_split_mismatch: bool = False) -> None:
    """Run one entry of a verb, or all of them when no name is given.

    Parameters
    ----------
    retry_failed : bool
        For `embed`: try contents again that are known to fail.
    allow_split_mismatch : bool
        For `embed`: take an encoder that was fitted on other train rows than the present ones.

    Raises
    ------
    InputError
        When the section has no such entry.
    """
    with recorded(verb) as recorder:
        session = Session.open(retry_failed=retry_failed, allow_split_mismatch=allow_split_mismatch)
        with closing(session.executor):
            _run(session, verb, name, recorder)


def _run(session: Session, verb: str, name: str | None, recorder: Recorder) -> None:
    if verb in _SINGLE:
        with entry(recorder, "", session.progress.spent):
            refuse_lack(verb, verb, session.params, session.settings)
            _SINGLE[verb](session)
        return
    entries = _entries(session.params, verb)
    if name is not None and name not in entries:
        near = did_you_mean(name, entries)
        raise InputError(f"{verb}: expected an entry of params.yaml; found {name!r}{near}; there are {list(entries)}.")
    if not entries:
        out.print(f"{verb}: params.yaml asks for nothing here")
    for each in [name] if name is not None else entries:
        start, session.progress.spent = time.perf_counter(), Spent()
        with entry(recorder, each, session.progress.spent):
            refuse_lack(verb, each, session.params, session.settings)
            said = _NAMED[verb](session, each)
            out.print(f"{verb} {each}: {said}, {time.perf_counter() - start:.1f} s", markup=False)


def _entries(params: Params, verb: str) -> Mapping[str, Any]:
    entries: Mapping[str, Any] = params.train if verb == "evaluate" else getattr(params, verb)
    return entries


def _prepare(session: Session) -> None:
    from pipeline.journal.notices import print_summary, tell_of_changes
    from stages.prepare import run as prepare

    params = session.params.prepare
    refuse_odd_files(Path(params.path))
    tell_of_changes(params, session.progress)
    metadata = Path(session.settings.cache).expanduser() / "metadata"
    outputs = prepare.PrepareOutputs(paths.PREPARE, metadata, paths.UNWATCHED)
    print_summary(prepare.run(params, outputs, session.progress, executor=session.executor))


def _split(session: Session) -> None:
    from stages.split import run as split

    paths.SPLIT.mkdir(parents=True, exist_ok=True)
    summary = split.run(session.params.split, paths.MANIFEST, paths.PARTS, session.progress)
    parts = ", ".join(f"{count} {part}" for part, count in summary["rows"].items())
    leaks = ", ".join(f"{count} of {field}" for field, count in summary["leaks"].items())
    out.print(f"split: {parts}; contents of test that train or dev also hold: {leaks}", markup=False)
    near = summary["near_duplicates"]
    if near and near["rows"]:
        found = f"split: pictures of test that look like one of train or dev: {near['rows']}"
        out.print(f"{found}; {paths.SPLIT / 'leaks.csv'} lists them", markup=False)
    for note in summary["notes"]:
        out.print(f"split: note: {printable(note)}", markup=False)


def _report(session: Session) -> None:
    from pipeline.journal.report_inputs import report_inputs
    from stages.report import run as report
    from stages.report.inputs import ReportOutputs

    inputs = report_inputs(session.params, session.settings)
    names = ("index.html", "leaderboard.csv", "compare.md", "pairs.csv")
    outputs = ReportOutputs(*(paths.REPORT / each for each in names))
    result = report.run(session.params.report, inputs, outputs, session.progress)
    out.print(f"report: {outputs.page}. {result['verdict']}", markup=False)


def _fit(session: Session, name: str) -> str:
    from stages.fit import run as fit

    outputs = fit.FitOutputs(
        paths.model("fit", name), paths.card("fit", name), paths.DATA / "fit" / f"{name}.history.csv"
    )
    machine = session.settings
    settings = fit.FitSettings(paths.FIT_STATES, machine.device, machine.workers, machine.commit_seconds)
    inputs = fit.FitInputs(paths.MANIFEST, paths.PARTS)
    card = fit.run(session.params.fit[name], inputs, outputs, settings, session.progress)
    counts, made_of = card.counts, card.made_of
    seen = "ALL rows, those of dev and test too (transductive)" if made_of["transductive"] else "train rows"
    curve = f", {counts['epochs']} epochs, loss {card.metrics['loss']:.4f}" if "epochs" in counts else ""
    return f"{made_of['encoder']} on {counts['rows']} {seen}{curve}"


def _embed(session: Session, name: str) -> str:
    from stages.embed import run as embed

    params, fitted = session.params.embed[name], paths.fitted(session.params.embed[name].fit)
    if fitted is not None:
        refuse_other_fit(fitted, params.encoder, allow_split_mismatch=session.allow_split_mismatch)
    outputs = embed.EmbedOutputs(
        session.params.matrices.matrix("embed", name),
        paths.card("embed", name),
        paths.DATA / "embed" / f"{name}.failed.csv",
    )
    settings = session.settings.embed_settings(
        session.params.store.format, session.executor, retry_failed=session.retry_failed
    )
    result = embed.run(params, embed.EmbedInputs(paths.MANIFEST, fitted), outputs, settings, session.progress)
    counts = {"cached": result.cached, "new": result.new, "failed": result.failed, "known": result.known}
    session.progress.spent.tell({**counts, **result.notes, "rate": result.rate}, result.seconds)
    record = paths.RUNS / f"embed-{name}.json"
    if result.new or not record.is_file():  # a run that computed nothing knows no rate, and `plan` wants the last one
        write_json(record, {**asdict(result), "encoder": params.encoder, "model": params.model})
    if result.failed:
        out.print(f"embed {name}: the failed items and their reasons are in {outputs.failed}", markup=False)
    if result.alike.texts:
        out.print(f"embed {name}: {told_alike(result.alike)}", markup=False)
    spent = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in result.seconds.items())
    rate = f" ({result.rate:.0f}/s, {result.runtime}, bottleneck {result.bottleneck})" if result.new else ""
    noted = "".join(f", {count} {what.replace('_', ' ')}" for what, count in result.notes.items() if count)
    known = f" ({result.known} known and not tried again, which --retry-failed does)" if result.known else ""
    return f"{result.cached} cached, {result.new} new{rate}, {result.failed} failed{known}{noted}; {spent}"


def _reduce(session: Session, name: str) -> str:
    from stages.reduce import run as reduce

    params, matrices = session.params.reduce[name], session.params.matrices
    (source,), digests = matrices.features([params.features]), stated_digests(matrices, [params.features])
    inputs = reduce.ReduceInputs(paths.MANIFEST, paths.PARTS, source, digests)
    outputs = reduce.ReduceOutputs(
        matrices.matrix("reduce", name),
        paths.card("reduce", name),
        paths.model("reduce", name),
        paths.DATA / "reduce" / f"{name}.variance.csv",
    )
    counts = reduce.run(params, inputs, outputs, session.progress, session.pool).counts
    return f"{counts['rows']} rows of {counts['dim']} dimensions"


def _fuse(session: Session, name: str) -> str:
    from stages.fuse import run as fuse
    from stages.models.training.checkpoints import TrainingSettings

    params, matrices = session.params.fuse[name], session.params.matrices
    sources, digests = matrices.features(params.features), stated_digests(matrices, params.features)
    inputs = fuse.FuseInputs(paths.MANIFEST, paths.PARTS, sources, digests)
    outputs = fuse.FuseOutputs(matrices.matrix("fuse", name), paths.card("fuse", name), paths.model("fuse", name))
    machine = session.settings
    settings = TrainingSettings(machine.device, paths.FUSE_STATES, machine.commit_seconds)
    counts = fuse.run(params, inputs, outputs, settings, session.progress).counts
    return f"{counts['rows']} rows of {counts['dim']} dimensions"


def _train(session: Session, name: str) -> str:
    from stages.models.experiment import ExperimentInputs
    from stages.models.training.checkpoints import TrainingSettings
    from stages.train import run as train

    params, matrices = session.params.train[name], session.params.matrices
    sources, digests = matrices.features(params.features), stated_digests(matrices, params.features)
    inputs = ExperimentInputs(paths.MANIFEST, paths.PARTS, sources, digests)
    folder = paths.DATA / "train"
    outputs = train.TrainOutputs(paths.model("train", name), folder / f"{name}.parquet", folder / f"{name}.history.csv")
    folder.mkdir(parents=True, exist_ok=True)
    machine = session.settings
    settings = TrainingSettings(machine.device, paths.TRAIN_STATES, machine.commit_seconds)
    counts = train.run(params, inputs, outputs, settings, session.progress)
    session.progress.spent.tell(counts)
    return f"{counts['seeds']} seeds on {counts['train']} train rows, {counts['dev']} dev rows"


def _evaluate(session: Session, name: str) -> str:
    from stages.evaluate import run as evaluate

    params, predictions, trained = session.params, paths.DATA / "train" / f"{name}.parquet", None
    asked = params.evaluate
    if asked.missing is not None or asked.weights or asked.tsne is not None:
        from pipeline.wiring import trained_inputs

        trained = trained_inputs(params, name)
    inputs = evaluate.EvaluateInputs(paths.MANIFEST, paths.PARTS, predictions, trained)
    outputs = evaluate.EvaluateOutputs(paths.card("evaluate", name), paths.DATA / "evaluate" / name)
    settings = evaluate.EvaluateSettings(session.settings.device)
    metrics = evaluate.run(asked, inputs, outputs, settings, session.progress).metrics
    said = ", ".join(f"{key} {metrics[key]:.3f}" for key in ("f1_macro", "accuracy", "mse") if key in metrics)
    refused = asked.missing is not None and trained is not None and trained.fused
    return (
        f"{said}; how it does without an input cannot be told, {outputs.tables}/missing.csv says why"
        if refused
        else said
    )


def _retrieve(session: Session, name: str) -> str:
    from stages.retrieve import run as retrieve

    params, matrices = session.params.retrieve[name], session.params.matrices
    sources, digests = matrices.features(params.features), stated_digests(matrices, params.features)
    inputs = retrieve.RetrieveInputs(paths.MANIFEST, paths.PARTS, sources, digests)
    folder = paths.DATA / "retrieve"
    folder.mkdir(parents=True, exist_ok=True)
    outputs = retrieve.RetrieveOutputs(
        paths.card("retrieve", name), folder / f"{name}.parquet", folder / f"{name}.curve.csv"
    )
    metrics = retrieve.run(params, inputs, outputs, session.progress, session.pool).metrics
    return ", ".join(f"{key} {metrics[key]:.3f}" for key in ("top_1", "top_10", "mrr") if key in metrics)


_SINGLE: dict[str, Callable[[Session], None]] = {"prepare": _prepare, "split": _split, "report": _report}
_NAMED: dict[str, Callable[[Session, str], str]] = {
    "fit": _fit,
    "embed": _embed,
    "reduce": _reduce,
    "fuse": _fuse,
    "train": _train,
    "evaluate": _evaluate,
    "retrieve": _retrieve,
}
RUNNERS: dict[str, Callable[..., None]] = {verb: partial(run_verb, verb) for verb in (*_SINGLE, *_NAMED)}
