"""`diptych status`: what is there, what ran last and what failed; told from names and small files, without torch."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.journal.console import PlainTable, out
from pipeline.journal.run_log import RunLog, scrubbed
from pipeline.machine.settings import Settings, load_settings
from pipeline.params.sections import Params, load_params
from store import LocalBackend, list_encoders
from store.errors import DiptychError
from store.files.reading import printable
from store.files.room import existing, told

_ENDS = ("done", "failed", "stopped")
_SHOWN = 6  # counts of a run in the table; --json has them all
_FIRST = ("failed", "f1_macro", "accuracy", "mse", "r2", "top_1", "mrr")  # before those that --json alone has room for


@dataclass(frozen=True)
class StoreState:
    """The feature store as this machine sees it.

    Attributes
    ----------
    exists, reachable : bool
        Whether anything was ever stored, and whether that could be asked.
    encoders : list of dict
        As `diptych store ls --json`.
    free : int or None
        Bytes left on its disk; None for an object storage.
    problem : str
        Why it is not reachable.
    """

    address: str
    exists: bool = False
    reachable: bool = False
    encoders: list[dict[str, Any]] = field(default_factory=list)
    segments: int = 0
    rows: int = 0
    bytes: int = 0
    free: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class EntryState:
    """One entry of params.yaml under one verb.

    Attributes
    ----------
    last : dict or None
        How its last run on this machine ended: `ts`, `event` (done, failed, stopped), and the fields of the log.
    missing : list of str
        Its outputs that are not there.
    failed : int
        Items without a vector in its last matrix, for `embed`.
    """

    verb: str
    name: str
    last: dict[str, Any] | None
    missing: list[str]
    failed: int = 0


@dataclass(frozen=True)
class Status:
    """A project at one moment.

    Attributes
    ----------
    problems : list of str
        What could not be looked at, and why.
    errors : dict of str to dict
        The last failure of each verb that no later run of the same entry has mended.
    """

    root: str
    store: StoreState | None
    entries: list[EntryState]
    errors: dict[str, dict[str, Any]]
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def look() -> Status:
    """Look at the project that one stands in; what is not there or broken is said and stops nothing.

    Raises
    ------
    InputError
        When one stands in no project at all.
    """
    root = paths.find_root(Path.cwd())
    os.chdir(root)
    problems: list[str] = []
    settings, params = _settings(problems), _params(problems)
    lines = [line for line in RunLog(paths.LOG).lines() if line.get("event") in _ENDS]
    store = None if settings is None else _store(settings)
    if store is not None and store.problem:
        problems.append(f"store: {store.problem}")
    entries = [] if params is None else list(_entries(params, _last(lines)))
    return Status(str(root), store, entries, _errors(lines), problems)


def _settings(problems: list[str]) -> Settings | None:
    try:
        return load_settings(paths.LOCAL_FILE, os.environ)
    except (DiptychError, OSError) as error:
        problems.append(str(error))
        return None


def _params(problems: list[str]) -> Params | None:
    try:
        return load_params(paths.PARAMS_FILE)
    except (DiptychError, OSError) as error:
        problems.append(str(error))
        return None


def _store(settings: Settings) -> StoreState:
    state = StoreState(scrubbed(settings.store, os.environ))
    try:
        store = settings.feature_store("zarr.zip")
        state = StoreState(store.address)
        encoders = list_encoders(store) if store.exists() else []
        root = store.backend.root if isinstance(store.backend, LocalBackend) else None
        return StoreState(
            address=store.address,
            exists=store.exists(),
            reachable=True,
            encoders=[asdict(each) for each in encoders],
            segments=sum(each.segments for each in encoders),
            rows=sum(each.rows for each in encoders),
            bytes=sum(each.bytes for each in encoders),
            free=None if root is None else shutil.disk_usage(existing(root)).free,
        )
    except (DiptychError, OSError) as error:
        return StoreState(state.address, problem=str(error))


def _entries(params: Params, last: Mapping[tuple[str, str], dict[str, Any]]) -> Iterator[EntryState]:
    """Yield the entries in the order of a run."""
    for verb in ("prepare", "split", "fit", "embed", "reduce", "fuse", "train", "evaluate", "retrieve", "report"):
        section = params.train if verb == "evaluate" else getattr(params, verb)
        for name in section if isinstance(section, dict) else [verb]:
            missing = [str(path) for path in _outputs(verb, name, params) if not path.exists()]
            failed = _failed(paths.DATA / "embed" / f"{name}.failed.csv") if verb == "embed" else 0
            yield EntryState(verb, name, last.get((verb, name if isinstance(section, dict) else "")), missing, failed)


def _outputs(verb: str, name: str, params: Params) -> list[Path]:
    card, data = paths.card(verb, name), paths.DATA / verb
    return {
        "prepare": [paths.MANIFEST],
        "split": [paths.PARTS],
        "fit": [paths.model(verb, name), card],
        "embed": [params.matrices.matrix(verb, name), card],
        "reduce": [params.matrices.matrix(verb, name), card],
        "fuse": [params.matrices.matrix(verb, name), card],
        "train": [paths.model(verb, name), data / f"{name}.parquet"],
        "evaluate": [data / name, card],
        "retrieve": [data / f"{name}.parquet", card],
        "report": [paths.REPORT / "index.html"],
    }[verb]


def _failed(path: Path) -> int:
    """Count the items of a list of failures."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return max(0, sum(1 for _ in csv.reader(stream)) - 1)
    except (OSError, ValueError, csv.Error):
        return 0


def _last(lines: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(str(line.get("verb")), str(line.get("entry"))): _told(line) for line in lines}


def _errors(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the newest failure of each verb that no later run of its entry, or of any if it had none, has mended."""
    failed: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        verb, entry = str(line.get("verb")), str(line.get("entry"))
        failed.pop((verb, ""), None)
        failed.pop((verb, entry), None)
        if line["event"] == "failed":
            failed[verb, entry] = _told(line)
    return {verb: error for (verb, _), error in failed.items()}


def _told(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"ts": line.get("ts", ""), "entry": line.get("entry", ""), "event": line["event"], **line["fields"]}


def print_status(status: Status) -> None:
    """Print the status for a person."""
    out.print(f"project {status.root}", markup=False)
    for problem in status.problems:
        lines = (printable(line) for line in problem.splitlines())
        out.print("problem: " + "\n  ".join(lines), markup=False)
    if status.store is not None:
        _print_store(status.store)
    if status.entries:
        _print_entries(status.entries)
    for verb, error in status.errors.items():
        named = _named(verb, error["entry"])
        said = printable(str(error.get("error", "")))
        out.print(f"last failure of {named}, {_time(error)}: {said} (exit {error.get('exit_code')})", markup=False)
    missing = sum(bool(each.missing) for each in status.entries)
    if missing:
        out.print(f"{missing} entries lack outputs: `dvc repro` makes them, `dvc pull` fetches what others made")


def _print_store(store: StoreState) -> None:
    if not store.reachable:
        out.print(f"store {store.address}: not reachable", markup=False)
        return
    free = "" if store.free is None else f", {told(store.free)} free"
    if not store.exists:
        out.print(f"store {store.address}: empty{free}; the first `diptych embed` makes it", markup=False)
        return
    sums = f"{len(store.encoders)} encoders, {store.segments} segments, {store.rows} rows, {told(store.bytes)}"
    out.print(f"store {store.address}: {sums}{free}", markup=False)


def _print_entries(entries: list[EntryState]) -> None:
    table = PlainTable("entry", "last run", "ended", "took", "counts", "missing")
    for each in entries:
        last, name = each.last or {}, _named(each.verb, each.name)
        counts = [f"{key} {value:.6g}" for key, value in _numbers(last.get("counts")).items()][:_SHOWN]
        if each.failed:
            counts.insert(0, f"{each.failed} items without a vector")
        took = f"{last['seconds']:.1f} s" if isinstance(last.get("seconds"), int | float) else ""
        shown = (name, _time(last), str(last.get("event", "")), took, ", ".join(counts), ", ".join(each.missing))
        table.add_row(*(printable(cell) for cell in shown))
    out.print(table)


def _named(verb: str, entry: str) -> str:
    return verb if entry in (verb, "") else f"{verb} {entry}"


def _numbers(counts: Any) -> dict[str, float]:
    found = counts.items() if isinstance(counts, dict) else ()
    numbers = {str(key): value for key, value in found if type(value) in (int, float)}
    return dict(sorted(numbers.items(), key=lambda each: each[0] not in _FIRST))


def _time(told_run: Mapping[str, Any]) -> str:
    return str(told_run.get("ts", ""))[:19].replace("T", " ")
