"""The steps that `benchmarks.scale` measures, each in a process of its own: `python -m benchmarks.scale_steps`.

Every step is the code that a run executes, on the files that the steps before it have left. What is read or imported
ahead of the step itself is done by its function; what is timed is what that returns.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale_data import WIDTHS, register_encoders, write_items

Action = Callable[[], object]
SIZES = (10_000, 100_000, 1_000_000)
"""The rows of a whole run."""
# Of faiss' graph: the vector in float32, and 32 links of 4 bytes twice on the ground floor.
GRAPH_ROW_BYTES = 4 * min(WIDTHS.values()) + 2 * 32 * 4
QUERIES = 2000
GATHERED = 4096
COMPONENTS = 64
_NAMES = tuple(WIDTHS)


@dataclass(frozen=True)
class Case:
    """One size: where its files lie."""

    folder: Path
    rows: int

    @property
    def manifest(self) -> Path:
        """What `prepare` writes."""
        return self.folder / "prepare" / "manifest.parquet"

    @property
    def split(self) -> Path:
        """What `split` writes."""
        return self.folder / "split.parquet"

    @property
    def store(self) -> Path:
        """The root of the store."""
        return self.folder / "store"

    @property
    def index(self) -> Path:
        """Where this machine remembers the keys of segments."""
        return self.folder / "index"

    def matrix(self, name: str) -> Path:
        """Name the aligned matrix of an encoder."""
        return self.folder / f"{name}.zarr.zip"

    @property
    def test_share(self) -> float:
        """The share of rows that ask: 2,000, or a fifth of few."""
        return min(0.2, QUERIES / self.rows)


def prepare(case: Case) -> Action:
    """Check a table row by row and write the manifest."""
    from stages.contract import SilentProgress
    from stages.prepare.params import PrepareParams
    from stages.prepare.run import PrepareOutputs, run

    table = case.folder / "items.csv"
    write_items(table, case.rows)
    params = PrepareParams(
        source="table",
        path=str(table),
        table={"id": "id", "text": "text", "label": "label"},  # type: ignore[arg-type]
    )
    return lambda: run(params, PrepareOutputs(case.folder / "prepare"), SilentProgress())


def split(case: Case) -> Action:
    """Cut into train, dev and test."""
    from stages.contract import SilentProgress
    from stages.split.params import SplitParams
    from stages.split.run import run

    return lambda: run(SplitParams(test=case.test_share), case.manifest, case.split, SilentProgress())


def portion(case: Case) -> Action:
    """Read the texts of one portion of an `embed`."""
    from store.items.manifest import Manifest

    manifest = Manifest.open(case.manifest)
    return lambda: manifest.texts("caption", np.arange(min(1000, case.rows)))


def write(case: Case) -> Action:
    """Encode all, and commit it to an empty store as segments."""
    from stages.embed.compute import compute_here, fill_store, open_ledger

    jobs = [_job(case, name) for name in _NAMES]
    return lambda: [fill_store(job, compute_here, open_ledger(job)) for job in jobs]


def lookup(case: Case) -> Action:
    """Find all keys in both logs, with the local index."""
    jobs = [_job(case, name) for name in _NAMES]
    return lambda: [_require_all(job.log.locate(job.request.keys).found, case) for job in jobs]


def export(case: Case) -> Action:
    """Write both aligned matrices from the store."""
    from stages.embed.export import export as write_aligned

    jobs = {name: _job(case, name) for name in _NAMES}
    places = {name: job.log.locate(job.request.keys) for name, job in jobs.items()}
    return lambda: [
        write_aligned(job, places[name], case.matrix(name), case.folder / f"{name}.json") for name, job in jobs.items()
    ]


def verify(case: Case) -> Action:
    """Open both matrices, holding every row against its digest; it is remembered, as a run remembers it."""
    from store import open_matrix

    time.sleep(2.5)  # a file changed just now is not remembered; see `store.trust.verified`
    return lambda: [open_matrix(case.matrix(name), memory=case.folder / "verified") for name in _NAMES]


def gather(case: Case) -> Action:
    """Gather random rows of both matrices."""
    from store import open_matrix

    matrices = [open_matrix(case.matrix(name), memory=case.folder / "verified") for name in _NAMES]
    wanted = np.random.default_rng(0).integers(0, case.rows, GATHERED)
    return lambda: [matrix.rows(wanted) for matrix in matrices]


def reduce(case: Case) -> Action:
    """Fit a PCA on the train rows of the narrower matrix, and project all of its rows."""
    import sklearn.decomposition  # noqa: F401 (its import is no part of what is timed)

    from stages.contract import SilentProgress
    from stages.reduce.params import ReduceParams
    from stages.reduce.run import ReduceInputs, ReduceOutputs, run

    _remember(case)
    folder = case.folder / "reduce"
    folder.mkdir()
    outputs = ReduceOutputs(folder / "pca.zarr.zip", folder / "card.json", folder / "model", folder / "variance.csv")
    inputs = ReduceInputs(case.manifest, case.split, case.matrix(_NAMES[0]))
    return lambda: run(ReduceParams(features=_NAMES[0], components=COMPONENTS), inputs, outputs, SilentProgress())


def train(case: Case) -> Action:
    """Train a linear head for one epoch on both matrices, and score dev and test rows."""
    from stages.contract import SilentProgress
    from stages.models.experiment import ExperimentInputs
    from stages.models.heads import network_training  # noqa: F401 (the import of torch is no part of what is timed)
    from stages.models.training.checkpoints import TrainingSettings
    from stages.train.params import TrainParams
    from stages.train.run import TrainOutputs, run

    _remember(case)
    folder = case.folder / "train"
    folder.mkdir()
    inputs = ExperimentInputs(case.manifest, case.split, tuple(case.matrix(name) for name in _NAMES))
    outputs = TrainOutputs(folder / "model", folder / "predictions.parquet", folder / "history.csv")
    params = TrainParams(features=list(_NAMES), fusion="concat", head="linear", epochs=1, batch=1024)  # type: ignore[call-arg]
    return lambda: run(params, inputs, outputs, TrainingSettings("cpu"), SilentProgress())


def search(case: Case) -> Action:
    """Rank the train rows of the narrower matrix for each test row, every pair measured."""
    return _search(case, "exact")


def search_hnsw(case: Case) -> Action:
    """Build a graph over the same rows and rank by it."""
    return _search(case, "hnsw")


def _search(case: Case, index: str) -> Action:
    from stages.contract import SilentProgress
    from stages.retrieve.params import RetrieveParams
    from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run

    _remember(case)
    folder = case.folder / f"search-{index}"
    folder.mkdir()
    outputs = RetrieveOutputs(folder / "metrics.json", folder / "ranked.parquet", folder / "curve.csv")
    inputs = RetrieveInputs(case.manifest, case.split, (case.matrix(_NAMES[0]),))
    params = RetrieveParams(features=[_NAMES[0]], k=[10], index=index)  # type: ignore[arg-type]
    return lambda: run(params, inputs, outputs, SilentProgress())


def _job(case: Case, name: str) -> Any:
    """Put together what `stages.embed.run` does, so that its parts can be timed one by one."""
    from stages.contract import SilentProgress
    from stages.embed.compute import Job
    from stages.embed.params import EmbedParams, encoder_and_fingerprint, stored_type
    from stages.embed.request import make_request
    from stages.embed.settings import EmbedSettings
    from stages.models.encoders.inputs import Inputs
    from store import FeatureStore
    from store.items.manifest import Manifest

    register_encoders()
    params = EmbedParams(encoder=name, field="caption")
    encoder, fingerprint = encoder_and_fingerprint(params)
    settings = EmbedSettings(FeatureStore(case.store, cache=case.index))
    log = settings.store.open(fingerprint, encoder.dim, stored_type(params, encoder))
    inputs = Inputs.of(Manifest.open(case.manifest), "text", params.field)
    return Job(params, inputs, make_request(inputs, with_empty=False), encoder, log, settings, SilentProgress())


def _require_all(found: np.ndarray, case: Case) -> None:
    if int(found.sum()) != case.rows:
        raise SystemExit(f"expected {case.rows} keys in the store, found {int(found.sum())}; look at `write`")


def _remember(case: Case) -> None:
    from store import remember_verifications

    remember_verifications(case.folder / "verified")


STEPS = {
    each.__name__: each
    for each in (prepare, split, portion, write, lookup, export, verify, gather, reduce, train, search, search_hnsw)
}


def main() -> None:
    """Do one step and print how long it took, of the clock and of the processors, and the most memory it had."""
    name, folder, rows = sys.argv[1:]
    action = STEPS[name](Case(Path(folder), int(rows)))
    clock, processors = time.perf_counter(), time.process_time()
    action()
    spent = {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - processors}
    sys.stdout.write(json.dumps({**spent, "peak_bytes": _status("VmHWM")}) + "\n")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
