"""The weights of inputs by class: those of the model's own forward, means by hand, and who has none writes a header."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stages.evaluate.params import EvaluateParams
from stages.evaluate.trained.inside import Look, WeightRow
from stages.evaluate.trained.looking import WeightSums
from stages.models.experiment import read_trained, restore
from store.errors import InputError, RunError
from tests.stages.evaluate.case import HALF, SYSTEMS, Case, Experiment

Make = Callable[..., Experiment]
HEADER = "class,input,weight,rows\n"


def weigh(made: Experiment, **params: Any) -> list[dict[str, str]]:
    made.evaluate(**{"missing": None, "weights": True, **params})
    return made.table("weights.csv")


def test_means_by_hand_leave_out_rows_without_any_input() -> None:
    sums = WeightSums(2, 2)
    labels = np.array([[1, 0], [1, 1], [0, 0], [1, 1]], bool)
    weights = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5], [0.9, 0.1]], np.float32)
    there = np.array([[1, 1], [1, 0], [1, 1], [0, 0]], bool)
    for part in (slice(0, 3), slice(3, 4)):
        sums.add(weights[part], there[part], labels[part])
    assert list(sums.table(("a", "b"), ("t", "v"))) == [
        WeightRow("(all)", "t", pytest.approx(1.75 / 3), 3), WeightRow("(all)", "v", pytest.approx(1.25 / 3), 3),
        WeightRow("a", "t", 0.625, 2), WeightRow("a", "v", 0.375, 2),
        WeightRow("b", "t", 1.0, 1), WeightRow("b", "v", 0.0, 1),
    ]  # fmt: skip


def test_a_class_without_a_row_has_no_line() -> None:
    sums = WeightSums(1, 1)
    sums.add(np.ones((2, 1), np.float32), np.ones((2, 1), bool), np.zeros((2, 1), bool))
    assert [row.name for row in sums.table(("a",), ("t",))] == ["(all)"]


@pytest.mark.parametrize("system", ["attention", "late"])
def test_the_table_is_the_means_of_the_first_seeds_own_weights(system: str, make_experiment: Make) -> None:
    usable = np.ones(160, bool)
    usable[8:160:20] = False  # every other row of test that stands first in its ten
    made = make_experiment(usable=(usable, None))
    made.train(system, seeds=[4, 2])
    found = weigh(made)
    about = read_trained(made.outputs.model)
    data = made.data(about.recipe.fusion)
    test = np.flatnonzero(data.parts == "test")
    weights = restore(about.recipe, data, 2, made.outputs.model, "cpu").weights(data.features(test)[:])
    assert weights is not None
    assert (weights[~usable[test]] == [0, 1]).all()
    expected = {("(all)", name): (weights[:, at].mean(), 32) for at, name in enumerate(("t", "v"))}
    for at, bears in enumerate(data.targets[test].T > 0):
        expected |= {(f"c{at}", each): (weights[bears, m].mean(), bears.sum()) for m, each in enumerate(("t", "v"))}
    assert [(row["class"], row["input"]) for row in found] == list(expected)
    for row in found:
        mean, rows = expected[row["class"], row["input"]]
        assert float(row["weight"]) == pytest.approx(mean, abs=1e-6)
        assert int(row["rows"]) == rows
    for name in ("(all)", "c0", "c1", "c2"):
        assert sum(float(row["weight"]) for row in found if row["class"] == name) == pytest.approx(1, abs=2e-6)


def test_a_regression_has_one_line_for_each_input(make_experiment: Make) -> None:
    made = make_experiment("regression")
    made.train("attention")
    assert [(row["class"], row["input"], row["rows"]) for row in weigh(made)] == [
        ("(all)", "t", "32"),
        ("(all)", "v", "32"),
    ]


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name not in {"attention", "late"}])
def test_where_nothing_weighs_inputs_there_is_a_header_and_no_model_is_read(system: str, make_experiment: Make) -> None:
    made = make_experiment("multiclass")
    made.train(system)
    shutil.rmtree(made.outputs.model)
    assert not weigh(made)
    assert (made.root / "tables" / "x" / "weights.csv").read_text() == HEADER


def test_what_is_asked_for_is_told_of_the_fusion_and_the_name() -> None:
    params = EvaluateParams.model_validate({"weights": True, "tsne": {"experiments": ["x"]}})
    assert Look.asked(params, "x", "late") == Look(weights=True, tsne=params.tsne)
    assert Look.asked(params, "x", "concat") == Look(weights=False, tsne=params.tsne)
    assert not Look.asked(params, "y", "concat")
    assert not Look.asked(EvaluateParams(), "x", "attention")


def test_weights_without_models_are_refused(case: Case) -> None:
    case.predict({0: HALF})
    with pytest.raises(InputError, match=r"expected trained models for `evaluate.weights` and `evaluate.tsne`"):
        case.evaluate(weights=True)
    assert not case.outputs.tables.exists()


def test_a_model_of_another_run_tells_nothing(make_experiment: Make) -> None:
    made = make_experiment()
    made.train("attention")
    before = weigh(made)
    predictions = made.outputs.predictions.read_bytes()
    made.train("attention", lr=0.1)
    made.outputs.predictions.write_bytes(predictions)
    with pytest.raises(RunError, match=r"seed 0: expected the scores of the predictions; .* not of one run; run `dvc"):
        weigh(made)
    assert made.table("weights.csv") == before
