"""`retrieve` whose chunks of queries real worker processes rank writes the same bytes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.machine.executors import DaskExecutor
from pipeline.machine.settings import Settings
from stages.contract import SilentProgress
from stages.models.workers import WorkerPool
from stages.retrieve.params import RetrieveParams
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run
from store.errors import InputError, RunError
from store.items.records import Item, ManifestInfo, write_manifest
from store.items.split import write_split
from tests.parity.runs import Deadly, Overheard
from tests.stages.conftest import DataSet

ROWS, QUERIES, CHUNK = 1800, 700, 32
TWINS = {"features": ["m", "n"], "scale": "standard", "gallery": "all", "exclude_identical": True, "exclude_same": "f"}
CLUSTERS = {"features": ["m"], "head": "kmeans_svm", "clusters": 6, "relevance": "same_labels"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    monkeypatch.setattr("stages.retrieve.by_workers.QUERIES_AT_ONCE", CHUNK)  # of workers; here one chunk is enough
    monkeypatch.setattr("stages.retrieve.by_workers.LEAST_PRODUCTS", 0)
    data, rng = DataSet(tmp_path), np.random.default_rng(0)
    rows = []
    for number, name in enumerate(data.ids(ROWS)):
        labels = tuple(label for label in "abc" if rng.random() < 0.4)
        item = Item(name, f"{number}.png", {}, labels, None, name, meta={"f": str(number % 300)})
        rows.append((item, (number % 1700).to_bytes(32, "big")))
    write_manifest(data.manifest, ManifestInfo("table", ".", "multilabel", ("a", "b", "c"), {}, (), ("f",)), rows)
    parts = rng.permutation(["test"] * QUERIES + ["train"] * (ROWS - QUERIES))
    write_split(data.split, data.ids(ROWS), parts, {})
    for name, width in (("m", 16), ("n", 5)):
        # Whole numbers: many distances are equal, and go by the row.
        data.matrix(name, rng.integers(-2, 3, (ROWS, width)).astype(np.float32), usable=rng.random(ROWS) > 0.02)
    return data


def retrieved(data: DataSet, name: str, executor: DaskExecutor | Overheard | None, **params: Any) -> list[bytes]:
    made = [data.root / f"{name}.{suffix}" for suffix in ("json", "parquet", "csv")]
    pool = None if executor is None else WorkerPool(executor, data.root / "scratch", data.root / "verified")
    asked = RetrieveParams(**{"k": [1, 5, 20], **params})
    matrices = tuple(data.root / f"{each}.zarr.zip" for each in asked.features)
    run(asked, RetrieveInputs(data.manifest, data.split, matrices), RetrieveOutputs(*made), SilentProgress(), pool)
    return [each.read_bytes() for each in made]


def test_though_a_worker_is_killed_metrics_and_ranking_are_those_of_one_process(
    workers: DaskExecutor, data: DataSet
) -> None:
    overheard = Deadly(workers)
    assert retrieved(data, "apart", overheard, **TWINS) == retrieved(data, "here", None, **TWINS)
    assert overheard.killed is not None
    assert 2 * len(overheard.tasks) == len(overheard.reports) > 2 * 20  # ranked with the twins, and without
    passed = [overheard.tasks, overheard.reports]
    assert json.loads(json.dumps(passed)) == passed
    assert len(json.dumps(passed)) < 3000 * len(overheard.tasks)  # the ranking of a chunk takes 13 kB
    assert list((data.root / "scratch").iterdir()) == []


@pytest.mark.slow
def test_clusters_are_not_made_anew(workers: DaskExecutor, data: DataSet) -> None:
    assert retrieved(data, "apart", workers, **CLUSTERS) == retrieved(data, "here", None, **CLUSTERS)


@pytest.mark.parametrize(
    ("altered", "error", "said"),
    [
        ({"versions": {"numpy": "0.1"}}, InputError, r"worker \S+:\d+: expected numpy 0.1; found .*the same versions"),
        ({"arrays": "/nowhere/s.npz"}, InputError, r"worker \S+:\d+: expected /nowhere/s.npz.*; found none; share"),
        ({"matrices": [{"path": "/nowhere/m.h5", "digest": "", "verified": None}]}, InputError, "no file; mount"),
        ({"k": "a mistake of the code"}, TypeError, "str"),
    ],
)
def test_what_is_wrong_on_a_worker_ends_the_run_and_leaves_nothing(
    workers: DaskExecutor, data: DataSet, altered: dict[str, Any], error: type[Exception], said: str
) -> None:
    overheard = Overheard(workers, altered=lambda task: {**task, "order": {**task["order"], **altered}})
    with pytest.raises(error, match=said):
        retrieved(data, "apart", overheard, features=["m"])
    assert not list(data.root.glob("apart.*"))
    assert list((data.root / "scratch").iterdir()) == []


@pytest.mark.slow
def test_a_chunk_that_every_worker_dies_of_is_named(
    workers: DaskExecutor, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workers._cluster is not None
    monkeypatch.setattr(workers._cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(RunError, match=r"the first of item 'i\d+'; found 1 workers of this machine dead of it"):
        retrieved(data, "apart", Deadly(workers), features=["m"])
    assert list((data.root / "scratch").iterdir()) == []


def test_by_an_index_or_a_small_gallery_this_process_ranks_and_says_so(
    data: DataSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nobody = DaskExecutor(Settings(executor="dask"))
    pytest.importorskip("faiss")
    retrieved(data, "index", nobody, features=["m"], index="hnsw")
    assert "the graph lies in this process, which ranks by it alone" in caplog.text
    monkeypatch.undo()
    retrieved(data, "small", nobody, features=["m"])
    assert "ranked by this process: workers would take longer to start" in caplog.text
    assert nobody._running is None
