"""Writes down each run of a verb: when it began, how it ended, how long what took; `verbs` runs inside of it."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.journal.console import err, out
from pipeline.journal.run_log import RunLog, now
from pipeline.journal.times import Spent, write_time
from pipeline.machine.settings import load_settings
from store.errors import InputError
from store.files.outputs import read_small_json
from store.results.cards import EntryCard

_LONG = 2.0  # seconds after which a run says where they went
_SUMMARIES = {"prepare": paths.PREPARE / "summary.json", "split": paths.SPLIT / "summary.json"}


@dataclass
class Recorder:
    """Appends the lines of one call of a verb to the project's own log, and to the one that was asked for.

    Attributes
    ----------
    verb : str
    entry : str
        "" while no entry of params.yaml is at work, and for a verb without entries.
    in_project : bool
        Whether one stands in a project: nothing is written elsewhere.
    """

    verb: str
    entry: str = ""
    in_project: bool = False
    _logs: list[RunLog] = field(default_factory=list)
    _run: str = field(default_factory=lambda: secrets.token_hex(6))

    def open(self, path: Path) -> None:
        """Log to a file of a person's choice too.

        Raises
        ------
        InputError
            When nothing can be written there.
        """
        log = RunLog(path.expanduser())
        try:
            log.append(self._line("info", "open", {}))
        except OSError as error:
            raise InputError(
                f"log_json: expected a file to write the log to; found {path}: {error.strerror or error}; name another."
            ) from None
        self._logs.append(log)

    def open_own(self) -> None:
        """Log to the project's own file; where that cannot be written, there is no log of its own."""
        self.in_project = True
        self._logs.append(RunLog(paths.LOG))

    def write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Append a line everywhere; a log that fails is told once and left alone: no run ends for its sake."""
        for log in self._logs[:]:
            try:
                log.append(self._line(level, event, fields))
            except OSError as error:
                self._logs.remove(log)
                err.print(f"the log {log.path} cannot be written ({error}): this run is not written down", markup=False)

    def _line(self, level: str, event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        about = {"verb": self.verb, "entry": self.entry, "event": event, "run": self._run, "pid": os.getpid()}
        return {"ts": now(), "level": level, **about, "fields": fields}


@contextmanager
def recorded(verb: str) -> Iterator[Recorder]:
    """Go to the project's root and record what happens in the block; without a project there is no record.

    Raises
    ------
    InputError
        When the log that was asked for cannot be written.
    """
    recorder = Recorder(verb)
    try:
        os.chdir(paths.find_root(Path.cwd()))
    except InputError:
        yield recorder
        return
    recorder.open_own()
    handler = _Warnings(recorder)
    logging.getLogger().addHandler(handler)
    start = time.perf_counter()
    try:
        if (asked := load_settings(paths.LOCAL_FILE, os.environ).log_json) is not None:
            recorder.open(Path(asked))
        yield recorder
    except BaseException as error:
        if not getattr(error, "recorded", False):
            recorder.write(*_ended(error, time.perf_counter() - start, Spent()))
        raise
    finally:
        logging.getLogger().removeHandler(handler)


@contextmanager
def entry(recorder: Recorder, name: str, spent: Spent) -> Iterator[Spent]:
    """Record one entry: `start`, then `done`, `failed` or `stopped`; a long one says where its time went.

    Parameters
    ----------
    name : str
        Of the entry; "" for a verb without entries.
    spent : Spent
        What the bars and the verb tell.
    """
    recorder.entry = name
    recorder.write("info", "start", {"version": version("diptych")})
    start = time.perf_counter()
    try:
        yield spent
    except BaseException as error:
        recorder.write(*_ended(error, time.perf_counter() - start, spent))
        error.recorded = True  # type: ignore[attr-defined]  # once is enough
        raise
    seconds = time.perf_counter() - start
    if recorder.in_project:
        write_time(recorder.verb, name, seconds)
    counts = {**spent.counts, **_card_counts(recorder.verb, name)}
    recorder.write("info", "done", {"seconds": round(seconds, 3), "phases": _rounded(spent), "counts": counts})
    if seconds > _LONG and not spent.overlapping and (split := spent.split(seconds, f"{recorder.verb} {name}, ")):
        out.print(f"{recorder.verb} {name}".rstrip() + f": {seconds:.1f} s: {split}", markup=False)
    recorder.entry = ""


def _rounded(spent: Spent) -> dict[str, float]:
    return {name: round(seconds, 3) for name, seconds in spent.phases.items()}


def _ended(error: BaseException, seconds: float, spent: Spent) -> tuple[str, str, dict[str, Any]]:
    """Return level, event and fields of a run that did not end well."""
    fields = {"seconds": round(seconds, 3), "phases": _rounded(spent), "counts": dict(spent.counts)}
    if isinstance(error, SystemExit | KeyboardInterrupt):
        code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 130
        return "warning", "stopped", {**fields, "exit_code": code}
    kind, code = type(error).__name__, getattr(error, "exit_code", 1)
    return "error", "failed", {**fields, "kind": kind, "error": str(error) or kind, "exit_code": code}


def _card_counts(verb: str, name: str) -> dict[str, int | float]:
    """Return the plain numbers of what the verb wrote about its run."""
    if verb not in _SUMMARIES:
        return EntryCard.read_sound(paths.card(verb, name)).numbers
    content = read_small_json(_SUMMARIES[verb])
    rows = content.get("rows")
    found = {**content, **(rows if isinstance(rows, dict) else {})}
    return {key: value for key, value in found.items() if type(value) in (int, float)}


class _Warnings(logging.Handler):
    """Writes warnings down, and lets them be printed as they are without it."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(logging.WARNING)
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._recorder.write(level, "warning", {"logger": record.name, "message": record.getMessage()})
        if logging.lastResort is not None:
            logging.lastResort.handle(record)
