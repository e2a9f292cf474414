"""A killed `train` resumes after the last finished seed and the last saved epoch, and ends in the same bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.models.training.checkpoints import TrainingSettings
from stages.train.params import TrainParams
from stages.train.run import run
from tests.stages.train.case import PARTS, SYSTEMS, Case
from tests.stages.train.killed import Counting, Killed

SEEDS = [0, 5]
ROWS = int((PARTS == "train").sum())
NETWORKS = [name for name, system in SYSTEMS.items() if "epochs" in system]


def kill(case: Case, at: int, **params: Any) -> None:
    """Run until `at` rows were told, and make sure that nothing was published."""
    with pytest.raises(Killed):
        case.train(Counting(at), **params)
    assert not case.outputs.model.exists()
    assert not case.outputs.predictions.exists()


@pytest.mark.parametrize("system", NETWORKS)
@pytest.mark.parametrize("epoch", [2, 3, 5])
def test_it_goes_on_and_ends_in_the_same_bytes(system: str, epoch: int, make_case: Callable[..., Case]) -> None:
    params = {**SYSTEMS[system], "seeds": SEEDS, "dropout": 0.3, "patience": 50}
    whole, case = make_case(), make_case()
    told = Counting()
    whole.train(told, **params)
    expected = whole.written()
    for path in (whole.outputs.predictions, whole.outputs.history):
        path.unlink()
    whole.outputs.model.rename(case.dataset.root / "elsewhere")
    at = ROWS * (epoch - 1) + ROWS // 2  # in the middle of an epoch, counted over the seeds
    kill(case, at, **params)
    again = Counting()
    case.train(again, **params)
    assert case.written() == expected
    # Of each head of `late` that had ended, the last epoch is run again: its state would serve nobody else.
    assert again.rows <= told.rows - (epoch - (2 if system == "late" else 1)) * ROWS
    assert not list(case.states.iterdir())


def test_a_finished_seed_is_not_trained_again(make_case: Callable[..., Case]) -> None:
    case, params = make_case(), {**SYSTEMS["mlp"], "seeds": [0, 5, 7]}
    kill(case, ROWS * 7, **params)  # in the first epoch of the third seed
    again = Counting()
    case.train(again, **params)
    assert again.bars == ["train x, seed 7"]
    assert again.rows == ROWS * 3


@pytest.mark.parametrize("system", ["forest", "svm", "late-forest", "attention"])
def test_models_are_kept_with_or_without_epochs(system: str, make_case: Callable[..., Case]) -> None:
    case, params = make_case(), {**SYSTEMS[system], "seeds": SEEDS}
    case.train(**params)
    expected = case.written()
    case.outputs.history.unlink()
    case.outputs.history.mkdir()  # the run fails when all is computed
    with pytest.raises(OSError, match=r"x\.history\.csv"):
        case.train(**params)
    assert len(list(case.states.glob("x-*/seed-*/done.json"))) == len(SEEDS)
    assert not list(case.states.rglob("epoch-*"))
    case.outputs.history.rmdir()
    again = Counting()
    case.train(again, **params)
    assert case.written() == expected
    assert again.rows == 0


def test_what_is_kept_is_not_fitted_again(make_case: Callable[..., Case], caplog: pytest.LogCaptureFixture) -> None:
    case = make_case("multiclass")
    case.targets[case.parts == "train"] = 1  # each fit says so
    case.outputs.history.parent.mkdir()
    case.outputs.history.mkdir()
    with pytest.raises(OSError, match=r"x\.history\.csv"):
        case.train(**SYSTEMS["forest"], seeds=SEEDS)
    assert caplog.text.count("a single class") == len(SEEDS)
    case.outputs.history.rmdir()
    caplog.clear()
    case.train(**SYSTEMS["forest"], seeds=SEEDS)
    assert "a single class" not in caplog.text


@pytest.mark.parametrize(
    "change", [{"lr": 0.002}, {"scale": "standard"}, {"hidden": [9]}, {"fusion": "late"}, "labels", "features", "split"]
)
def test_another_cause_starts_anew(change: Any, make_case: Callable[..., Case]) -> None:
    case, params = make_case(), {**SYSTEMS["mlp"]}
    kill(case, ROWS * 2, **params)
    if change == "labels":
        case.targets[0] = 1 - case.targets[0]
    elif change == "features":
        case.blocks[1][3] += 1
    elif change == "split":
        case.parts[:2] = case.parts[[6, 1]]
    else:
        params |= change
    again = Counting()
    case.train(again, **params)
    epochs = 3 * (2 if change == {"fusion": "late"} else 1)
    assert again.rows == epochs * int((case.parts == "train").sum())


def test_further_seeds_leave_the_states_of_the_others_usable(make_case: Callable[..., Case]) -> None:
    case = make_case()
    kill(case, ROWS * 4, **SYSTEMS["mlp"], seeds=[0, 1])
    again = Counting()
    case.train(again, **SYSTEMS["mlp"], seeds=[0, 1, 2])
    assert again.bars == ["train x, seed 1", "train x, seed 2"]


@pytest.mark.parametrize("victim", ["result", "done.json", "state.safetensors"])
def test_damaged_states_are_told_and_not_used(
    victim: str, make_case: Callable[..., Case], caplog: pytest.LogCaptureFixture
) -> None:
    case, params = make_case(), {**SYSTEMS["mlp"], "seeds": SEEDS}
    case.train(**params)
    expected = case.written()
    with pytest.raises(Killed):
        case.train(Counting(ROWS * 5), **params)
    for path in [each for each in case.states.rglob("*") if each.is_file()]:
        if victim in path.parts:
            path.write_bytes(b"nothing of the kind")
    with caplog.at_level(logging.WARNING, "diptych.states"):
        case.train(**params)
    assert "is damaged" in caplog.text
    assert case.written() == expected


def test_without_a_folder_for_states_nothing_is_kept(make_case: Callable[..., Case]) -> None:
    case = make_case()
    params = TrainParams(**{"features": ["t", "v"], **SYSTEMS["mlp"]})
    before = {path.name for path in case.dataset.root.iterdir()}
    run(params, case.inputs, case.outputs, TrainingSettings("cpu"), SilentProgress())
    assert {path.name for path in case.dataset.root.iterdir()} - before <= {
        "models", "data", "manifest.parquet", "split.parquet", "t.zarr.zip", "v.zarr.zip"
    }  # fmt: skip
    assert np.isfinite(list(case.scores().values())).all()
