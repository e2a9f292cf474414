"""What a worker of `portions` does: hold one encoder, encode a portion of a request into the store, report counts.

A worker is a process of its own, perhaps on another machine: all that it gets and gives is plain JSON data.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.embed.compute import Job, compute_here
from stages.embed.params import EmbedParams, encoder_and_fingerprint, stored_type
from stages.embed.request import Ledger, Rows, make_request
from stages.embed.settings import EmbedSettings, StorePlace
from stages.models.encoders.image.decoding import allow_pixels
from stages.models.encoders.inputs import Inputs
from stages.models.workers import held_once, told_where, worker_name
from store import Fingerprint
from store.errors import InputError, RunError
from store.files.reading import file_digest, trust_roots
from store.items.manifest import Manifest
from store.items.records import IMAGE

_STOP_SECONDS = 60.0
_one_at_a_time = threading.Lock()  # one encoder in memory, whatever the number of threads that a worker was given
_stopped: set[str] = set()


def embed_portion(task: Mapping[str, Any]) -> dict[str, Any]:
    """Encode what the store lacks of some manifest rows, and store it from here.

    Parameters
    ----------
    task : mapping
        `order`: see `portions.order_of`; `rows`: manifest rows with distinct contents, -1 for the empty text.

    Returns
    -------
    dict
        `found`: positions in `rows` whose content the store had; `failures`: position -> reason; `seconds`, `threads`
        and `streams` as in `Seconds`; `notes` of the encoder; `runtime`, None when nothing was computed; `worker`.

    Raises
    ------
    InputError
        When this worker does not see what the run is about, or would compute other vectors.
    RunError, StoreError
        As `Committer.commit` does.
    """
    order = task["order"]
    with _one_at_a_time, told_where():
        job, ledger = _hold(order)
        noted = dict(job.encoder.notes())
        rows = np.array(task["rows"], dtype=np.int64)
        # -1 stands for the empty text.
        places = np.where(rows < 0, job.request.empty, job.request.inverse[rows])
        # A worker before this one may have died of these rows; then some of them are stored.
        ledger.narrow(places)
        if ledger.left:
            compute_here(replace(job, progress=_UntilStopped(order["run"])), ledger)
        notes = {name: count - noted.get(name, 0) for name, count in job.encoder.notes().items()}
        return _report(ledger, places, notes)


async def stop_portions(run: str) -> None:
    """Have the portion of this run that is at work here end at its next batch, and wait until its rows are stored."""
    _stopped.add(run)
    deadline = time.monotonic() + _STOP_SECONDS
    while _one_at_a_time.locked() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


@held_once
def _hold(order: Mapping[str, Any]) -> tuple[Job, Ledger]:
    """Build the encoder of a run and look all contents up, once for all its portions; the run before is let go."""
    project, manifest_path = Path(order["project"]), Path(order["manifest"])
    if not project.is_dir():
        raise InputError(f"expected the project's folder at {project}; found none; mount it here under the same path.")
    os.chdir(project)  # paths in params and in the manifest are relative to it
    trust_roots(order["trusted_roots"])
    allow_pixels(order["max_pixels"])
    if not manifest_path.is_file() or file_digest(manifest_path) != order["manifest_digest"]:
        found = "another file" if manifest_path.is_file() else "none"
        raise InputError(
            f"expected the manifest {manifest_path} of the run; found {found}; share the project's folder with this "
            "worker."
        )
    params = EmbedParams(**order["params"])
    encoder, fingerprint = encoder_and_fingerprint(params, order["fitted"] and Path(order["fitted"]))
    _refuse_other_encoder(fingerprint, order["fingerprint"])
    settings = _settings(order)
    inputs = Inputs.of(Manifest.open(manifest_path), params.row.kind, params.field)
    _refuse_no_pictures(inputs)
    log = settings.store.open(fingerprint, encoder.dim, stored_type(params, encoder))
    log.probe_writable()
    request = make_request(inputs, with_empty=True)
    ledger = Ledger(log, request.keys, {})
    ledger.look_up()
    return Job(params, inputs, request, encoder, log, settings, _UntilStopped(order["run"])), ledger


def _settings(order: Mapping[str, Any]) -> EmbedSettings:
    spill = order["spill"]
    return EmbedSettings(
        StorePlace(**order["store"]).open(), spill=spill and StorePlace(**spill).open(), **order["machine"]
    )


def _refuse_other_encoder(here: Fingerprint, wanted: str) -> None:
    if here.digest != wanted:
        raise InputError(
            f"expected the encoder {here.encoder} with the fingerprint {wanted[:16]}; found {here.digest[:16]}; "
            "install the same versions of Diptych and of its packages here, and the same weights."
        )


def _refuse_no_pictures(inputs: Inputs) -> None:
    root = Path(inputs.manifest.info.root)
    if IMAGE in inputs.fields and not root.is_dir():
        raise InputError(
            f"expected the folder of pictures {root.absolute()}; found none; mount it here under the same path."
        )


def _report(ledger: Ledger, places: Rows, notes: Mapping[str, int]) -> dict[str, Any]:
    computed = ledger.computed[places]
    return {
        "worker": worker_name(),
        "found": np.flatnonzero(~computed).tolist(),
        "failures": {
            str(at): ledger.failures[place] for at, place in enumerate(places.tolist()) if place in ledger.failures
        },
        "seconds": ledger.seconds.by_phase(),
        "threads": ledger.seconds.workers,
        "streams": ledger.seconds.streams,
        "notes": {name: count for name, count in notes.items() if count},
        "runtime": asdict(ledger.runtime) if computed.any() and ledger.runtime else None,
    }


class _UntilStopped:
    """A progress bar that nobody sees; by it a portion learns that it shall end. What is finished is then stored."""

    def __init__(self, run: str) -> None:
        self._run, self._told = run, False

    def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002 (nobody sees it)
        """End the portion when its run was stopped, once."""
        if self._run in _stopped and not self._told:
            self._told = True
            raise RunError("the run was stopped; what was finished is in the store.")

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[_UntilStopped]:  # noqa: ARG002
        """Yield itself."""
        yield self
