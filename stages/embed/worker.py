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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed.compute import Filled, Job, compute_here
from stages.embed.params import EmbedParams, encoder_and_fingerprint, stored_type
from stages.embed.request import Elsewhere, Request, Rows, make_request
from stages.embed.settings import EmbedSettings, StorePlace
from stages.models.encoders.image.decoding import allow_pixels
from stages.models.encoders.inputs import Inputs
from stages.models.encoders.protocol import Encoder, Runtime
from stages.models.encoders.running.batching import Seconds
from stages.models.workers import held_once, told_where, worker_name
from store import EncoderLog, Fingerprint, Locations
from store.errors import InputError, RunError
from store.files.reading import file_digest, trust_roots
from store.items.manifest import Manifest
from store.items.records import IMAGE


class Stored:
    """Which contents of a request lie in a log; each segment is looked at once, however many portions there are.

    Parameters
    ----------
    log : EncoderLog
    request : Request
    """

    def __init__(self, log: EncoderLog, request: Request) -> None:
        self._elsewhere = Elsewhere(log, request.keys)
        self._found = log.locate(request.keys).found

    def missing(self, places: Rows) -> NDArray[np.bool_]:
        """Tell which of some positions in the request [n] are not stored, as far as was seen: bool [n]."""
        return ~self._found[places]

    def add(self, places: Rows) -> None:
        """Note what this process has stored."""
        self._found[places] = True

    def own(self, name: str) -> None:
        """Leave a segment of this process out of the next look; `add` notes its rows."""
        self._elsewhere.own(name)

    def look(self) -> Rows:
        """Return the positions in the request of what others have published since the last look."""
        new = self._elsewhere.look()
        self.add(new)
        return new


class PortionStored:
    """What a portion sees of `Stored`; implements `Watch`.

    Parameters
    ----------
    stored : Stored
    places : ndarray of int64, [n]
        The portion: positions in the request, each once.
    """

    def __init__(self, stored: Stored, places: Rows) -> None:
        self._stored, self._places = stored, places

    def own(self, name: str) -> None:
        """Leave a segment of this process out of the next look."""
        self._stored.own(name)

    def look(self) -> Rows:
        """Return the positions in the portion of what others have published since the last look."""
        return np.flatnonzero(np.isin(self._places, self._stored.look()))


_STOP_SECONDS = 60.0
_one_at_a_time = threading.Lock()  # one encoder in memory, whatever the number of threads that a worker was given
_stopped: set[str] = set()


@dataclass
class _Held:
    """What a worker keeps between the portions of one run."""

    params: EmbedParams
    inputs: Inputs
    request: Request  # all contents, and the empty text
    encoder: Encoder
    log: EncoderLog
    stored: Stored
    settings: EmbedSettings
    runtime: Runtime | None = None


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
        As `fill_store` does.
    """
    order = task["order"]
    with _one_at_a_time, told_where():
        held = _hold(order)
        noted = dict(held.encoder.notes())
        rows = np.array(task["rows"], dtype=np.int64)
        # -1 stands for the empty text.
        places = np.where(rows < 0, held.request.empty, held.request.inverse[rows])
        # A worker before this one may have died of these rows; then some of them are stored.
        missing = np.flatnonzero(held.stored.missing(places))
        filled = _fill(held, places[missing], rows[missing], order["run"])
        held.runtime = filled.runtime
        notes = {name: count - noted.get(name, 0) for name, count in held.encoder.notes().items()}
        return _report(filled, missing, len(rows), notes)


async def stop_portions(run: str) -> None:
    """Have the portion of this run that is at work here end at its next batch, and wait until its rows are stored."""
    _stopped.add(run)
    deadline = time.monotonic() + _STOP_SECONDS
    while _one_at_a_time.locked() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


@held_once
def _hold(order: Mapping[str, Any]) -> _Held:
    """Build the encoder of a run once; the one before is let go."""
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
    return _Held(params, inputs, request, encoder, log, Stored(log, request), settings)


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


def _fill(held: _Held, places: Rows, rows: Rows, run: str) -> Filled:
    """Encode and store what is missing: the contents at `places` [n] of the request, read from `rows` [n]."""
    keys = held.request.keys[places]
    filled = Filled(Locations.nowhere(keys), np.zeros(len(rows), dtype=bool), {}, Seconds(), held.runtime)
    if len(rows):
        nobody = np.zeros(0, dtype=np.int64)
        request, watch = Request(keys, rows, nobody, -1), PortionStored(held.stored, places)
        job = Job(held.params, held.inputs, request, held.encoder, held.log, held.settings, _UntilStopped(run))
        compute_here(job, np.arange(len(rows)), watch, filled)
        good = filled.computed.copy()
        good[list(filled.failures)] = False
        held.stored.add(places[good])
    return filled


def _report(filled: Filled, missing: Rows, total: int, notes: Mapping[str, int]) -> dict[str, Any]:
    computed = bool(filled.computed.any())
    found = np.ones(total, dtype=bool)
    found[missing[filled.computed]] = False
    return {
        "worker": worker_name(),
        "found": np.flatnonzero(found).tolist(),
        "failures": {str(missing[at]): reason for at, reason in filled.failures.items()},
        "seconds": filled.seconds.by_phase(),
        "threads": filled.seconds.workers,
        "streams": filled.seconds.streams,
        "notes": {name: count for name, count in notes.items() if count},
        "runtime": asdict(filled.runtime) if computed and filled.runtime else None,
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
