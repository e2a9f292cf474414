"""Gate finished rows and append them to the log every few seconds; `compute` hands them in batch by batch."""

from __future__ import annotations

import platform
import shlex
import socket
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from stages.contract import Tracker
from stages.embed.failures import REFUSED
from stages.embed.request import Rows, Watch
from stages.embed.settings import EmbedSettings
from stages.models.encoders.protocol import Rows as Encodings
from stages.models.encoders.protocol import Runtime
from stages.models.encoders.running.batching import Seconds
from store import EncoderLog, FeatureStore, StoreError, row_problems
from store.errors import RunError

_PACKAGES = {"opencv": "opencv-python-headless"}


def provenance_of(runtime: Runtime) -> dict[str, str]:
    """Describe this machine: equal runs on it give equal segments, so no time, path, process or user is in it.

    Parameters
    ----------
    runtime : Runtime
        What computes.
    """
    return {
        "compute_dtype": runtime.compute_dtype,
        "device": runtime.device.partition(":")[0],
        "device_name": _device_name(runtime.device),
        "diptych": _version_of("diptych"),
        "engine": runtime.engine,
        "engine_version": _version_of(_PACKAGES.get(runtime.engine, runtime.engine)),
        "host": socket.gethostname(),
    }


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "not installed"


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch  # loaded already: the model is on that device

        return str(torch.cuda.get_device_name(device))
    return platform.machine()


@dataclass
class Committer:
    """Collects finished rows and appends them by bytes and by seconds; a kill costs only what is pending.

    At each commit it also looks for rows that others have published: those that are not encoded yet need not be, and
    those that are pending need not be stored.

    Attributes
    ----------
    keys : ndarray of uint8, [U, 32]
        The keys of the request.
    wanted : ndarray of bool, [U]
        Which of them are still to be encoded; kept up to date here.
    computed : ndarray of bool, [U]
        Which of them this run has tried to encode; kept up to date here.
    failures : dict
        Position in the request -> reason, for rows that the quality gate refused or that never came.
    crowded : bool
        Whether somebody else has published rows that were computed here too, so works at the same place.
    """

    log: EncoderLog
    keys: NDArray[np.uint8]
    runtime: Runtime
    tracker: Tracker
    settings: EmbedSettings
    elsewhere: Watch
    wanted: NDArray[np.bool_]
    computed: NDArray[np.bool_]
    failures: dict[int, str]
    seconds: Seconds
    crowded: bool = False
    _pending: list[tuple[Rows, NDArray[np.floating[Any]]]] = field(default_factory=list)
    _pending_bytes: int = 0
    _from_others: int = 0
    _last: float = field(default_factory=time.monotonic)

    def add(self, items: Rows, vectors: Encodings) -> None:
        """Gate the rows of one batch (`items` [n]: positions in the request; `vectors` [n, D]), keep the good ones.

        Raises
        ------
        RunError
            When the encoder gave vectors of another number or width than it promised, or the rows could not be stored.
        """
        if vectors.shape != (len(items), self.log.dim):
            raise RunError(
                f"embed: expected {len(items)} vectors of {self.log.dim} numbers from encoder "
                f"{self.log.fingerprint.encoder!r}; found {list(vectors.shape)}; mend the encoder. "
                "The rows before are in the store."
            )
        items, vectors = self._still_wanted(items, vectors)
        with np.errstate(over="ignore"):  # an overflow in the cast is caught as non-finite just below
            stored = vectors.astype(self.log.dtype)
        problems = row_problems(stored, zero_legal=self.log.zero_legal)
        good = problems == ""
        for item, problem in zip(items[~good], problems[~good], strict=True):
            self.fail(int(item), f"{REFUSED}{problem} row in {self.log.dtype}")
        self._keep(items[good], stored[good])

    def _still_wanted(self, items: Rows, vectors: Encodings) -> tuple[Rows, Encodings]:
        """Leave out what others have published while the model had it: stored once is enough."""
        late = ~self.wanted[items]
        self.computed[items[late]] = True
        self.crowded |= bool(late.any())
        return items[~late], vectors[~late]

    def fail(self, item: int, reason: str) -> None:
        """Count one item as failed, unless somebody else has stored it; it is never stored from here."""
        if self.wanted[item]:
            self.failures[item] = reason
            self._done(np.array([item]))
            self._commit_when_due()

    def _keep(self, items: Rows, rows: NDArray[np.floating[Any]]) -> None:
        self._pending.append((items, rows))
        self._pending_bytes += rows.nbytes
        self._done(items)
        self._commit_when_due()

    def _done(self, items: Rows) -> None:
        self.wanted[items] = False
        self.computed[items] = True
        self.tracker.advance(len(items), self._note())

    def _commit_when_due(self) -> None:
        late = time.monotonic() - self._last >= self.settings.commit_seconds
        if late or self._pending_bytes >= self.settings.commit_bytes:
            self.commit()

    def look(self) -> Rows:
        """Look for rows published elsewhere, which need not be encoded any more; return their positions."""
        found = self.elsewhere.look()
        new = np.unique(found[self.wanted[found]])
        self.wanted[new] = False
        self.crowded |= bool(self.computed[found].any())
        self._from_others += len(new)
        self.tracker.advance(len(new), self._note())
        return found

    def finish(self) -> None:
        """Commit what is pending; on the way out of an error or an interrupt too."""
        if self._pending:
            self.commit()

    def commit(self) -> None:
        """Append the pending rows that are nowhere yet as one immutable segment.

        Raises
        ------
        RunError
            When the store does not take them; they are then in the spill.
        """
        with self.seconds.of("write"):
            items, rows = self._joined()
            try:
                nowhere = ~np.isin(items, self.look())
                if nowhere.any():
                    self.elsewhere.own(self._append(items[nowhere], rows[nowhere]))
            except OSError as error:  # full, read-only, unreachable: no fault of the code
                if not len(items) or self.settings.spill is None:
                    raise
                self._spill(self.settings.spill, items, rows, error)
        # Only now: rows whose append was interrupted stay pending, and the run's last commit repeats it, which is safe.
        self._forget()

    def _append(self, items: Rows, rows: NDArray[np.floating[Any]]) -> str:
        return self.log.append(self.keys[items], rows, provenance_of(self.runtime))

    def _joined(self) -> tuple[Rows, NDArray[np.floating[Any]]]:
        none = np.zeros((0, self.log.dim), dtype=self.log.dtype)
        items = np.concatenate([np.zeros(0, dtype=np.int64), *(each for each, _ in self._pending)])
        return items, np.concatenate([none, *(each for _, each in self._pending)])

    def _forget(self) -> None:
        self._pending, self._pending_bytes = [], 0
        self._last = time.monotonic()

    def _spill(self, spill: FeatureStore, items: Rows, rows: NDArray[np.floating[Any]], error: OSError) -> NoReturn:
        """Keep the rows on this machine, and end the run."""
        failed = f"embed: expected to store {len(items)} finished rows in {self.log.shown}; found: {error}."
        try:
            local = spill.open(self.log.fingerprint, self.log.dim, self.log.dtype)
            local.append(self.keys[items], rows, provenance_of(self.runtime))
        except (StoreError, OSError) as second:
            self._forget()  # no third attempt on the way out
            raise RunError(
                f"{failed} Nor could {spill.address} keep them: {second}. These rows are lost, those before are in the "
                "store; mend both, and run again."
            ) from error
        self._forget()
        raise RunError(
            f"{failed} They are kept in {spill.address}; mend the store, then run "
            f"`diptych store import {shlex.quote(spill.address)}`, and run again."
        ) from error

    def _note(self) -> str:
        counts = {"failed": len(self.failures), "from others": self._from_others}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
