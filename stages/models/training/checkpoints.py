"""Keeps the state of a training on this machine, so that a killed run resumes after its last whole epoch."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from store.files.outputs import fresh_folder
from store.files.tensors import tensor_bytes

Tensors = Mapping[str, NDArray[Any]]
_LOG = logging.getLogger("diptych.states")
_LEAST_AGE = 20  # of a state, in times that it took to write
_TENSORS, _FACTS = "state.safetensors", "state.json"
_RESULT, _DONE = "result", "done.json"


@dataclass(frozen=True)
class TrainingSettings:
    """What a machine decides about a training, and what changes no result beyond rounding.

    Attributes
    ----------
    device : str
        auto, cpu, cuda or cuda:<n>.
    states : Path, optional
        Folder for what a killed run goes on from; without one nothing is kept.
    state_seconds : float
        See `Checkpoints`; with 0 the state is saved after every epoch.
    """

    device: str = "auto"
    states: Path | None = None
    state_seconds: float = 5.0


@dataclass(frozen=True)
class State:
    """What a training is made of after an epoch: arrays by name, and plain JSON values."""

    epoch: int
    tensors: Tensors
    facts: Mapping[str, Any]


class Checkpoints:
    """The states of one training, in a folder that belongs to it alone; only the newest is kept.

    Parameters
    ----------
    root : Path
        Folder for the states of all trainings.
    name : str
        The entry of params.yaml.
    cause : str
        Hexadecimal digest of all that decides the training: another cause finds no state.
    seconds : float
        A state younger than this is not replaced, nor one that took more than a twentieth of its age to write; with 0
        every epoch's state is saved.
    """

    def __init__(self, root: Path, name: str, cause: str, seconds: float = 0.0) -> None:
        self._root, self._name, self._seconds, self._pause = root, name, seconds, seconds
        self.folder = root / f"{name}-{cause[:16]}"
        self._start = self._last = time.monotonic()

    def latest(self) -> State | None:
        """Return the newest whole state; None when there is none. A damaged one is told and passed over."""
        for folder in sorted(self.folder.glob("epoch-*"), reverse=True):
            try:
                return _read(folder)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                _LOG.warning("the saved state %s is damaged (%s) and is not used", folder, error)
        return None

    def save(self, state: State) -> None:
        """Write a state, unless the last one is too young; then remove the older ones."""
        start = time.monotonic()
        if start - self._last < self._pause:
            return
        older = list(self.folder.glob("epoch-*"))
        content = tensor_bytes(state.tensors)
        facts = {"epoch": state.epoch, "facts": state.facts, "digest": hashlib.sha256(content).hexdigest()}
        with fresh_folder(self.folder / f"epoch-{state.epoch:06}") as folder:
            (folder / _TENSORS).write_bytes(content)
            (folder / _FACTS).write_text(json.dumps(facts, sort_keys=True), "utf-8")
        for folder in older:
            shutil.rmtree(folder, ignore_errors=True)
        self._last = time.monotonic()
        self._pause = max(self._seconds, _LEAST_AGE * (self._last - start)) if self._seconds else 0.0

    def finish(self, result: Path, facts: Mapping[str, Any]) -> None:
        """Keep a copy of what a training gave, in place of its states; of one younger than `seconds` nothing is kept.

        Parameters
        ----------
        result : Path
            A folder of files.
        facts : mapping
            Plain JSON values that belong to it.
        """
        if time.monotonic() - self._start < self._seconds:
            return
        about = {"facts": facts, "files": _digests(result)}
        with fresh_folder(self.folder) as folder:
            shutil.copytree(result, folder / _RESULT)
            (folder / _DONE).write_text(json.dumps(about, sort_keys=True), "utf-8")

    def finished(self, target: Path) -> Mapping[str, Any] | None:
        """Copy what `finish` kept to the new folder `target` and return its facts; None when there is nothing whole."""
        if not (self.folder / _DONE).is_file():
            return None
        try:
            facts = _read_facts(self.folder)
            shutil.copytree(self.folder / _RESULT, target)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("the finished training %s is damaged (%s) and is not used", self.folder, error)
            return None
        return facts

    def part(self, name: str) -> Checkpoints:
        """Return the states of one of several trainings that are behind this one; `clear` removes them too."""
        inner = copy.copy(self)
        inner.folder = self.folder / name
        inner._start = inner._last = time.monotonic()
        return inner

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty folder for what is too large for memory; it is gone when the block ends, however it ends."""
        folder = self.folder / "scratch"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove the states of this entry, those of other causes too: the run is done."""
        for folder in self._root.glob(f"{self._name}-*"):
            if re.fullmatch(r"[0-9a-f]{16}", folder.name.removeprefix(f"{self._name}-")):
                shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> State:
    content = (folder / _TENSORS).read_bytes()
    facts = json.loads((folder / _FACTS).read_text("utf-8"))
    if hashlib.sha256(content).hexdigest() != facts["digest"]:
        raise ValueError("its digest differs")
    return State(int(facts["epoch"]), load(content), facts["facts"])


def _read_facts(folder: Path) -> Mapping[str, Any]:
    about = json.loads((folder / _DONE).read_text("utf-8"))
    if _digests(folder / _RESULT) != about["files"]:
        raise ValueError("its digests differ")
    facts: Mapping[str, Any] = about["facts"]
    return facts


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
