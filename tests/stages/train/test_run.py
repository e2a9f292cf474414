"""A whole `train` on files: what it writes, and how it refuses what does not fit."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest

from stages.contract import SilentProgress
from stages.models.experiment import read_data, read_trained, restore
from stages.models.heads.model import dense
from stages.models.training.checkpoints import TrainingSettings
from stages.train.params import TrainParams
from stages.train.run import run
from store.errors import InputError, RunError
from store.items.records import Task
from tests.stages.train.case import EVERY, PARTS, SYSTEMS, Case


@EVERY
@pytest.mark.parametrize("task", get_args(Task))
def test_every_system_scores_all_dev_and_test_rows_of_every_task(
    system: str, task: Task, make_case: Callable[..., Case]
) -> None:
    case = make_case(task)
    counts = case.train(**SYSTEMS[system], seeds=[0, 5])
    assert counts == {"train": 96, "dev": 32, "seeds": 2}
    table = pq.read_table(case.outputs.predictions)
    about = json.loads(table.schema.metadata[b"diptych"])
    assert (about["task"], about["features"], about["experiment"]) == (task, ["t", "v"], "x")
    expected = [case.dataset.ids(160)[row] for part in ("dev", "test") for row in np.flatnonzero(part == PARTS)]
    assert table.column("id").to_pylist() == expected * 2
    assert table.column("seed").to_pylist() == [0] * 64 + [5] * 64
    assert table.column("part").to_pylist() == (["dev"] * 32 + ["test"] * 32) * 2
    assert {len(row) for row in table.column("scores").to_pylist()} == {1 if task == "regression" else 3}
    suffixes = {Path(name).suffix for name in case.models()}
    assert suffixes <= {".safetensors", ".skops", ".json"}


@EVERY
def test_a_restored_model_gives_the_scores_that_were_written(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS[system], seeds=[3])
    trained = read_trained(case.outputs.model)
    data = read_data(case.inputs, trained.recipe.fusion)
    model = restore(trained.recipe, data, 3, case.outputs.model, "cpu")
    test = [case.dataset.ids(160)[row] for row in np.flatnonzero(case.parts == "test")]
    expected = np.array([case.scores(3)[name] for name in test], np.float32)
    np.testing.assert_allclose(model.scores(dense(data.rows("test").x)), expected, atol=1e-6)


def test_the_recipe_holds_every_option_also_those_left_to_their_defaults(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS["late"])
    recipe = json.loads((case.outputs.model / "recipe.json").read_text())
    assert recipe["options"].items() >= {"hidden": [8], "epochs": 3, "patience": 5, "weights": "dev"}.items()
    assert (recipe["classes"], recipe["layout"], recipe["scale"]) == (["c0", "c1", "c2"], [5, 4], "none")


def test_the_history_has_a_line_per_seed_and_epoch(make_case: Callable[..., Case]) -> None:
    case = make_case()
    for system in ("mlp", "late"):
        case.train(**SYSTEMS[system], seeds=[0, 1])
        with case.outputs.history.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [(row["seed"], row["epoch"]) for row in rows] == [(s, e) for s in "01" for e in "123"]
        assert all(float(row["train_loss"]) > 0 and float(row["valid_loss"]) > 0 for row in rows)


def test_what_is_monitored_stands_in_the_history(make_case: Callable[..., Case]) -> None:
    case = make_case("multiclass")
    case.train(**SYSTEMS["attention"], monitor="top_5")
    with case.outputs.history.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["valid_top_5"] for row in rows] == ["1.000000"] * 3  # of three classes


def test_without_dev_rows_validation_stays_blank_and_without_epochs_the_history_is_empty(
    make_case: Callable[..., Case],
) -> None:
    case = make_case()
    case.parts[case.parts == "dev"] = "train"
    assert case.train(**SYSTEMS["mlp"])["dev"] == 0
    rows = case.outputs.history.read_text().splitlines()
    assert rows[0] == "seed,epoch,train_loss,valid_loss"
    assert all(row.endswith(",") for row in rows[1:])
    case.train(**SYSTEMS["dummy"])
    assert case.outputs.history.read_text() == "seed,epoch,train_loss,valid_loss\n"


def test_a_training_that_diverges_is_a_failed_run_and_leaves_nothing(make_case: Callable[..., Case]) -> None:
    case = make_case("regression")
    with pytest.raises(RunError, match=r"seed 0: expected finite losses; .* lower `lr`"):
        case.train(**{**SYSTEMS["linear"], "epochs": 20}, lr=1e30)
    assert not any((case.dataset.root / name).exists() for name in ("models/x", "data/x.parquet", "data/x.history.csv"))


def test_a_failure_leaves_the_outputs_of_before(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS["knn"])
    before = case.models(), case.outputs.predictions.read_bytes(), case.outputs.history.read_bytes()
    with pytest.raises(InputError, match=r"expected at most 96 neighbours \(the train rows\); found 97"):
        case.train(**SYSTEMS["knn"], neighbours=97)
    assert (case.models(), case.outputs.predictions.read_bytes(), case.outputs.history.read_bytes()) == before
    assert not list(case.dataset.root.rglob("*.tmp*"))


def test_another_task_than_the_labels_give_is_refused(make_case: Callable[..., Case]) -> None:
    case = make_case()
    with pytest.raises(
        InputError, match=r"expected task 'multilabel', which the manifest's labels give; found `task: m"
    ):
        case.train(**SYSTEMS["dummy"], task="multiclass")
    case.train(**SYSTEMS["dummy"], task="multilabel")


def test_least_squares_of_a_regression_and_of_nothing_else(make_case: Callable[..., Case]) -> None:
    case = make_case("regression")
    case.train(head="linreg", task="regression")
    test = np.flatnonzero(case.parts == "test")
    found = np.array([case.scores()[case.dataset.ids(160)[row]][0] for row in test])
    np.testing.assert_allclose(found, case.targets[test], atol=1e-4)  # the toy's target is a sum of two features
    other = make_case("multilabel")
    with pytest.raises(
        InputError,
        match=r"head 'linreg' does \['regression'\]; found task .multilabel. in the manifest; choose",
    ):
        other.train(head="linreg")


def test_no_labelled_train_rows_is_an_error_with_the_remedy(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.classes = ("c0", "c1", "c2")
    case.targets[case.parts == "train"] = np.nan
    with pytest.raises(InputError, match=r"expected labelled train rows in .*; found none; check the label column"):
        case.train(**SYSTEMS["dummy"])


def test_a_matrix_of_other_items_is_refused(make_case: Callable[..., Case]) -> None:
    case = make_case()
    inputs = case.inputs
    case.dataset.matrix("v", case.blocks[1], ids=case.dataset.ids(160)[::-1])
    params = TrainParams(features=["t", "v"], fusion="concat", head="dummy")
    with pytest.raises(InputError, match="expected the 160 items of the manifest in its order"):
        run(params, inputs, case.outputs, TrainingSettings("cpu"), SilentProgress())
    assert not case.outputs.model.exists()


def test_a_single_matrix_with_fusion_none(make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(features=["t"], fusion="none", head="forest", trees=5)
    before = case.scores()
    case.blocks[1][:] = 0  # the other matrix is nobody's business
    case.train(features=["t"], fusion="none", head="forest", trees=5)
    assert case.scores() == before


def test_an_unknown_device_is_refused(make_case: Callable[..., Case]) -> None:
    case = make_case()
    params = TrainParams(features=["t", "v"], fusion="concat", head="dummy")
    with pytest.raises(InputError, match="device"):
        run(params, case.inputs, case.outputs, TrainingSettings("gpu"), SilentProgress())
