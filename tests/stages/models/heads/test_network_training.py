"""How a network is trained beyond its loss: what is monitored, the published draws, targets and batch norm."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from stages.models.heads.batches import Batches, RowDataset
from stages.models.heads.catalog import build_head
from stages.models.heads.model import LabelledRows, Problem
from stages.models.heads.network import Mlp, NetworkModel
from stages.models.heads.options import MlpOptions
from stages.models.training.epochs import Watch
from store.errors import InputError, RunError
from store.items.records import Task


class Counting:
    """Counts the rows of each step."""

    def __init__(self) -> None:
        self.steps = list[int]()

    def track(self, description: str, total: int | None) -> Any:  # noqa: ARG002
        self.total = total
        return nullcontext(self)

    def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.steps += [n] if n else []


def classes(count: int, kinds: int, seed: int = 0) -> LabelledRows:
    """Rows whose class is the column that stands out, so that a linear map can tell."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, kinds, count)
    return LabelledRows((rng.normal(size=(count, kinds)) + np.eye(kinds)[y] * 2).astype(np.float32), y.astype(np.int64))


def mlp(task: Task, inputs: int, outputs: int, **options: Any) -> NetworkModel:
    chosen = MlpOptions(**{"hidden": (), "dropout": 0.0, "batch": 16, "epochs": 3, **options})
    arguments = {"inputs": inputs, "outputs": outputs, "hidden": [*chosen.hidden], "dropout": chosen.dropout}
    return NetworkModel(Mlp, arguments, chosen, Problem(task, outputs, 0))


class Lookup(nn.Module):
    """Scores that the rows themselves hold, so that top-5 is known; one weight drifts, so that the loss worsens."""

    def __init__(self) -> None:
        super().__init__()
        self.drift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + self.drift)


def test_top_5_counts_the_dev_rows_whose_class_is_among_the_five_highest() -> None:
    x = np.tile(np.arange(9, 0, -1), (4, 1)).astype(np.float32)  # class k has rank k + 1
    dev = LabelledRows(x, np.array([0, 4, 5, 8], dtype=np.int64))
    options = MlpOptions(monitor="top_5", epochs=2)
    history = NetworkModel(Lookup, {}, options, Problem("multiclass", 9, 0)).fit(dev, dev).history
    assert [each.valid_accuracy for each in history] == [0.5, 0.5]


def test_equal_scores_count_for_the_class() -> None:
    dev = LabelledRows(np.zeros((3, 9), np.float32), np.array([0, 4, 8], dtype=np.int64))
    options = MlpOptions(monitor="top_5", epochs=1)
    assert NetworkModel(Lookup, {}, options, Problem("multiclass", 9, 0)).fit(dev, dev).history[0].valid_accuracy == 1


def test_the_epoch_of_the_best_top_5_is_kept_and_of_equal_ones_that_of_the_lowest_loss() -> None:
    train, dev = classes(200, 9), classes(60, 9, seed=1)
    model = mlp("multiclass", 9, 9, monitor="top_5", epochs=40, patience=4, lr=0.02).fit(train, dev)
    best = min(model.history, key=lambda each: (-each.valid_accuracy, each.valid_loss)).epoch
    assert len(model.history) in {40, best + 4}
    scores = model.scores(dev.x)
    own = scores[np.arange(60), dev.y][:, None]
    assert ((scores > own).sum(axis=1) < 5).mean() == pytest.approx(model.history[best - 1].valid_accuracy)
    assert -np.log(own).mean() == pytest.approx(model.history[best - 1].valid_loss, abs=1e-5)


def test_with_five_classes_or_fewer_top_5_is_always_right_and_the_loss_decides() -> None:
    train, dev = classes(200, 4), classes(60, 4, seed=1)
    by = {kind: mlp("multiclass", 4, 4, monitor=kind, epochs=20).fit(train, dev) for kind in ("top_5", "loss")}
    assert {each.valid_accuracy for each in by["top_5"].history} == {1.0}
    np.testing.assert_array_equal(by["top_5"].scores(dev.x), by["loss"].scores(dev.x))


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_top_5_is_refused_where_there_is_no_single_right_class(task: Task) -> None:
    rows = LabelledRows(np.ones((8, 2), np.float32), np.ones((8, 1), np.float32))
    with pytest.raises(InputError, match=r"monitor: expected loss for task .*; found top_5, .* set `monitor: loss`"):
        mlp(task, 2, 1, monitor="top_5").fit(rows, rows)


def test_a_default_of_top_5_gives_way_to_the_loss_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    class Towers(MlpOptions):
        monitor: Any = "top_5"

    rows = LabelledRows(np.ones((8, 2), np.float32), np.ones((8, 1), np.float32))
    arguments = {"inputs": 2, "outputs": 1, "hidden": [], "dropout": 0.0}
    with caplog.at_level(logging.WARNING, "diptych.heads"):
        model = NetworkModel(Mlp, arguments, Towers(epochs=2), Problem("multilabel", 1, 0)).fit(rows, rows)
    assert "early stopping looks at the dev loss" in caplog.text
    assert all(np.isnan(each.valid_accuracy) for each in model.history)


@pytest.mark.parametrize(("task", "draws"), [("multiclass", 499), ("multilabel", 499), ("regression", 999)])
def test_a_replica_draws_single_rows_as_often_as_published(task: Task, draws: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40) if task == "multiclass" else rng.integers(0, 2, (40, 2)).astype(np.float32)
    rows, counted = LabelledRows(rng.normal(size=(40, 3)).astype(np.float32), y), Counting()
    mlp(task, 3, 2, replica=True, batch=1, epochs=2).fit(rows, rows, Watch("train", counted))
    assert counted.steps == [1] * draws * 2
    assert counted.total == draws * 2


def test_a_replica_is_fifty_epochs_of_single_rows_unless_it_is_told_otherwise() -> None:
    about = MlpOptions(replica=True)
    assert (about.batch, about.epochs) == (1, 50)
    assert (about.model_dump()["batch"], about.model_dump()["epochs"]) == (1, 50)
    given = MlpOptions.model_validate_json('{"replica": true, "batch": 4, "hidden": [512]}', strict=True)
    assert (given.batch, given.epochs, given.hidden) == (4, 50, (512,))
    assert (MlpOptions().batch, MlpOptions().epochs) == (128, 50)


def test_a_replica_keeps_the_last_epoch_whatever_dev_says() -> None:
    train = classes(40, 3)
    wrong = LabelledRows(train.x, (train.y + 1) % 3)
    model = mlp("multiclass", 3, 3, replica=True, batch=1, epochs=8, patience=1, lr=0.01).fit(train, wrong)
    assert len(model.history) == 8
    scores = model.scores(wrong.x)
    assert -np.log(scores[np.arange(40), wrong.y]).mean() == pytest.approx(model.history[-1].valid_loss, abs=1e-4)


def test_draws_are_with_replacement_and_follow_the_seed() -> None:
    data = RowDataset(LabelledRows(np.arange(20, dtype=np.float32)[:, None], np.zeros(20)))
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append([float(x) for x, _ in Batches(data, 1, shuffle=True, draws=400)])
    assert seen[0] == seen[1] != seen[2]
    assert set(seen[0]) == set(range(20))
    assert len(set(seen[0][:20])) < 20


@pytest.mark.parametrize(("task", "outputs", "expected"), [("multiclass", 2, 564_738), ("regression", 1, 564_225)])
def test_the_published_sizes_of_goodreads(task: Task, outputs: int, expected: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 4) if task == "multiclass" else rng.normal(size=(4, 1)).astype(np.float32)
    rows = LabelledRows(rng.normal(size=(4, 1100)).astype(np.float32), y)
    model: Any = build_head("mlp", 1100, MlpOptions(hidden=(512,), epochs=1), Problem(task, outputs, 0)).fit(rows, rows)
    assert sum(each.numel() for each in model.model.fitted_.parameters()) == expected


@pytest.mark.parametrize(
    ("task", "y"),
    [
        ("regression", np.zeros(6, np.float32)), ("regression", np.zeros((6, 2), np.float32)),
        ("multilabel", np.zeros(6, np.float32)), ("multiclass", np.zeros((6, 1), np.int64)),
        ("regression", np.zeros((5, 1), np.float32)),
    ],
)  # fmt: skip
def test_targets_of_another_shape_are_refused_and_never_broadcast(task: Task, y: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected targets of shape \[6.*\] for task .*; found \[[56]"):
        mlp(task, 3, 1).fit(LabelledRows(np.ones((6, 3), np.float32), y), LabelledRows(np.ones((6, 3), np.float32), y))


class Flat(Mlp):
    """Gives [n] where [n, 1] is due."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, 0]


def test_outputs_of_another_shape_than_the_targets_are_an_error() -> None:
    rows = LabelledRows(np.ones((6, 3), np.float32), np.ones((6, 1), np.float32))
    arguments = {"inputs": 3, "outputs": 1, "hidden": [], "dropout": 0.0}
    model = NetworkModel(Flat, arguments, MlpOptions(epochs=1), Problem("regression", 1, 0))
    with pytest.raises(RunError, match=r"Flat: expected outputs of shape \[6, 1\].*; found \[6\]"):
        model.fit(rows, rows)


class Normed(nn.Module):
    """A head with batch norm, which cannot learn from a single row."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.Linear(4, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(x))


def normed(count: int, batch: int, *, replica: bool = False) -> list[int]:
    rng, counted = np.random.default_rng(0), Counting()
    rows = LabelledRows(rng.normal(size=(count, 3)).astype(np.float32), rng.normal(size=(count, 1)).astype(np.float32))
    options = MlpOptions(epochs=1, batch=batch, replica=replica)
    dev = LabelledRows(rows.x[:1], rows.y[:1])
    NetworkModel(Normed, {"inputs": 3, "outputs": 1}, options, Problem("regression", 1, 0)).fit(
        rows, dev, Watch("train", counted)
    )
    return counted.steps


@pytest.mark.parametrize(("count", "expected"), [(9, [4, 4]), (10, [4, 4, 2]), (8, [4, 4])])
def test_a_last_batch_of_one_row_is_left_out_where_there_is_batch_norm(count: int, expected: list[int]) -> None:
    assert normed(count, 4) == expected


def test_a_last_batch_of_one_row_is_used_otherwise() -> None:
    data = RowDataset(LabelledRows(np.zeros((9, 1), np.float32), np.zeros(9)))
    assert [len(x) for x, _ in Batches(data, 4)] == [4, 4, 1]
    assert len(Batches(data, 4)) == 3
    assert len(Batches(data, 4, drop_single=True)) == 2


@pytest.mark.parametrize(("count", "batch", "replica"), [(1, 4, False), (9, 1, False), (9, 1, True)])
def test_single_rows_only_are_refused_where_there_is_batch_norm(count: int, batch: int, replica: bool) -> None:
    with pytest.raises(InputError, match=r"expected batches of at least 2 rows, as batch norm needs; .* raise `batch`"):
        normed(count, batch, replica=replica)


@pytest.mark.parametrize("wrong", [{"monitor": "top5"}, {"modality_dropout": 1.0}, {"modality_dropout": -0.1}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MlpOptions(**wrong)
