"""`reduce` whose train rows real worker processes sum, and whose rows they project, writes the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.machine.executors import DaskExecutor
from pipeline.machine.settings import Settings
from stages.contract import SilentProgress
from stages.models.workers import WorkerPool
from stages.reduce.params import ReduceParams
from stages.reduce.run import ReduceInputs, ReduceOutputs, run
from store import CorruptMatrix
from store.errors import InputError, RunError
from tests.parity.runs import Deadly, Overheard
from tests.stages.conftest import DataSet

ROWS, TRAIN, PIECE = 6000, 4000, 256


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    monkeypatch.setattr("stages.reduce.passes._ROWS", PIECE // 2)
    monkeypatch.setattr("stages.reduce.passes._PIECE", PIECE)
    monkeypatch.setattr("stages.reduce.passes.LEAST_PRODUCTS", 0)
    data, rng = DataSet(tmp_path), np.random.default_rng(0)
    data.write("multiclass", np.arange(ROWS) % 3, rng.permutation(["train"] * TRAIN + ["test"] * (ROWS - TRAIN)))
    data.matrix("m", rng.normal(size=(ROWS, 40)) @ rng.normal(size=(40, 40)), usable=rng.random(ROWS) > 0.01)
    return data


def reduced(data: DataSet, name: str, executor: DaskExecutor | Overheard | None) -> list[bytes]:
    folder = data.root / name
    made = ReduceOutputs(folder / "r.zarr.zip", folder / "r.json", folder / "model", folder / "r.csv")
    pool = None if executor is None else WorkerPool(executor, data.root / "scratch")
    inputs = ReduceInputs(data.manifest, data.split, data.root / "m.zarr.zip")
    run(ReduceParams(features="m", components=5, whiten=True), inputs, made, SilentProgress(), pool)
    return [each.read_bytes() for each in (made.matrix, made.card, made.model / "pca.safetensors", made.variance)]


def test_though_a_worker_is_killed_all_bytes_are_those_of_one_process(workers: DaskExecutor, data: DataSet) -> None:
    overheard = Deadly(workers)
    assert reduced(data, "apart", overheard) == reduced(data, "here", None)
    assert overheard.killed is not None
    assert len(overheard.tasks) == -(-ROWS // PIECE)  # of the second pass
    assert len(overheard.reports) == len(overheard.tasks) + -(-TRAIN // PIECE)
    passed = [overheard.tasks, overheard.reports]
    assert json.loads(json.dumps(passed)) == passed
    assert len(json.dumps(passed)) < 2000 * len(overheard.tasks)  # a piece of vectors takes 40 kB
    assert list((data.root / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("altered", "error", "said"),
    [
        ({"versions": {"numpy": "0.1"}}, InputError, r"worker \S+:\d+: expected numpy 0.1; found .*the same versions"),
        (
            {"train": "/nowhere/train.npz"},
            InputError,
            r"worker \S+:\d+: expected /nowhere/train.npz.*; found none; share",
        ),
        ({"train_digest": "0" * 64}, InputError, r"worker \S+:\d+: expected .*; found another file; share"),
        (
            {"matrix": {"path": "/nowhere/m.h5"}},
            InputError,
            r"worker \S+:\d+: expected the matrix /nowhere/m.h5; found no",
        ),
        ({"matrix": {"digest": "0" * 64}}, CorruptMatrix, r"worker \S+:\d+: .*expected the digest 0000"),
        ({"block": "a mistake of the code"}, TypeError, "str"),
    ],
)
def test_what_is_wrong_on_a_worker_ends_the_run_and_leaves_nothing(
    workers: DaskExecutor, data: DataSet, altered: dict[str, Any], error: type[Exception], said: str
) -> None:
    def alter(task: dict[str, Any]) -> dict[str, Any]:
        order = dict(task["order"])
        for name, value in altered.items():
            order[name] = {**order[name], **value} if isinstance(value, dict) else value
        return {**task, "order": order}

    with pytest.raises(error, match=said):
        reduced(data, "apart", Overheard(workers, altered=alter))
    assert not (data.root / "apart").exists()
    assert list((data.root / "scratch").iterdir()) == []


def test_a_file_that_cannot_be_seen_from_here_is_missed(workers: DaskExecutor, data: DataSet, tmp_path: Path) -> None:
    elsewhere = tmp_path / "not shared"
    elsewhere.mkdir()
    overheard = Overheard(workers, altered=lambda task: {**task, "into": str(elsewhere / "x.npz")})
    with pytest.raises(InputError, match=r"of worker \S+:\d+: expected .*sum_rows-0-\w+.npz, .*found none; share"):
        reduced(data, "apart", overheard)


@pytest.mark.slow
def test_a_piece_that_every_worker_dies_of_is_named(
    workers: DaskExecutor, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workers._cluster is not None
    monkeypatch.setattr(workers._cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(RunError, match=r"expected sum_rows of .*m.zarr.zip, \d+ to \d+; found 1 workers .* dead of it"):
        reduced(data, "apart", Deadly(workers))
    assert list((data.root / "scratch").iterdir()) == []


def test_wide_rows_are_fitted_here_and_projected_by_workers(
    workers: DaskExecutor, data: DataSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stages.reduce.passes.WIDEST", 39)
    overheard = Overheard(workers)
    assert reduced(data, "apart", overheard) == reduced(data, "here", None)
    assert len(overheard.reports) == -(-ROWS // PIECE)
    assert "rows wider than 39 are fitted in memory, by this process alone" in caplog.text


def test_a_small_matrix_is_projected_here(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    nobody = DaskExecutor(Settings(executor="dask"))
    assert reduced(data, "small", nobody) == reduced(data, "here", None)
    assert nobody._running is None
