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
from stages.embed.request import Ledger, Rows
from stages.embed.settings import EmbedSettings
from stages.models.encoders.protocol import Rows as Encodings
from stages.models.encoders.protocol import Runtime
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

    Parameters
    ----------
    ledger : Ledger
        Tells what is wanted, and notes what becomes of it.
    runtime : Runtime
    tracker : Tracker
    settings : EmbedSettings
    """

    ledger: Ledger
    runtime: Runtime
    tracker: Tracker
    settings: EmbedSettings
    _pending: list[tuple[Rows, NDArray[np.floating[Any]]]] = field(default_factory=list)
    _pending_bytes: int = 0
    _last: float = field(default_factory=time.monotonic)

    def add(self, items: Rows, vectors: Encodings) -> None:
        """Gate the rows of one batch (`items` [n]: positions in the request; `vectors` [n, D]), keep the good ones.

        Raises
        ------
        RunError
            When the encoder gave vectors of another number or width than it promised, or the rows could not be stored.
        """
        log = self.ledger.log
        if vectors.shape != (len(items), log.dim):
            raise RunError(
                f"embed: expected {len(items)} vectors of {log.dim} numbers from encoder "
                f"{log.fingerprint.encoder!r}; found {list(vectors.shape)}; mend the encoder. "
                "The rows before are in the store."
            )
        fresh = self.ledger.encode(items)  # what others have published meanwhile is stored, once is enough
        items = items[fresh]
        with np.errstate(over="ignore"):  # an overflow in the cast is caught as non-finite just below
            stored = vectors[fresh].astype(log.dtype)
        problems = row_problems(stored, zero_legal=log.zero_legal)
        good = problems == ""
        for item, problem in zip(items[~good], problems[~good], strict=True):
            self.ledger.fail(int(item), f"{REFUSED}{problem} row in {log.dtype}")
        self._pending.append((items[good], stored[good]))
        self._pending_bytes += stored[good].nbytes
        self._advance(len(items))

    def fail(self, item: int, reason: str) -> None:
        """Count one item as failed, unless somebody else has stored it; it is never stored from here."""
        self._advance(self.ledger.fail(item, reason))

    def _advance(self, count: int) -> None:
        self.tracker.advance(count, self._note())
        late = time.monotonic() - self._last >= self.settings.commit_seconds
        if late or self._pending_bytes >= self.settings.commit_bytes:
            self.commit()

    def look(self) -> None:
        """Look for rows published elsewhere, which need not be encoded any more."""
        self.tracker.advance(self.ledger.look(), self._note())

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
        ledger = self.ledger
        with ledger.seconds.of("write"):
            items, rows = self._joined()
            try:
                self.look()
                nowhere = ~ledger.found[items]
                if nowhere.any():
                    ledger.store(items[nowhere], self._append(ledger.log, items[nowhere], rows[nowhere]))
            except OSError as error:  # full, read-only, unreachable: no fault of the code
                if not len(items) or self.settings.spill is None:
                    raise
                self._spill(self.settings.spill, items, rows, error)
        # Only now: rows whose append was interrupted stay pending, and the run's last commit repeats it, which is safe.
        self._forget()

    def _append(self, log: EncoderLog, items: Rows, rows: NDArray[np.floating[Any]]) -> str:
        return log.append(self.ledger.keys[items], rows, provenance_of(self.runtime))

    def _joined(self) -> tuple[Rows, NDArray[np.floating[Any]]]:
        log = self.ledger.log
        none = np.zeros((0, log.dim), dtype=log.dtype)
        items = np.concatenate([np.zeros(0, dtype=np.int64), *(each for each, _ in self._pending)])
        return items, np.concatenate([none, *(each for _, each in self._pending)])

    def _forget(self) -> None:
        self._pending, self._pending_bytes = [], 0
        self._last = time.monotonic()

    def _spill(self, spill: FeatureStore, items: Rows, rows: NDArray[np.floating[Any]], error: OSError) -> NoReturn:
        """Keep the rows on this machine, and end the run."""
        log = self.ledger.log
        failed = f"embed: expected to store {len(items)} finished rows in {log.shown}; found: {error}."
        try:
            self._append(spill.open(log.fingerprint, log.dim, log.dtype), items, rows)
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
        counts = {"failed": len(self.ledger.failures), "from others": self.ledger.from_others}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
