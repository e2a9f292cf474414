"""What `train` must not look at, what it must make of little, and that it repeats itself to the byte."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.models.training.checkpoints import TrainingSettings
from stages.train.params import TrainParams
from stages.train.run import run
from store.items.records import Task
from tests.stages.train.case import EVERY, PARTS, SYSTEMS, Case


@EVERY
def test_the_same_inputs_and_seeds_give_the_same_bytes(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    found = []
    for _ in range(2):
        case.train(**SYSTEMS[system], seeds=[2])
        outputs = case.outputs
        found.append((case.models(), outputs.predictions.read_bytes(), outputs.history.read_bytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name not in {"svm", "knn", "dummy"}])
def test_different_seeds_give_different_models_and_predictions(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS[system], seeds=[0, 1])
    models = case.models()
    ours = {name: data for name, data in models.items() if name.startswith("seed-0")}
    assert any(data != models[name.replace("seed-0", "seed-1")] for name, data in ours.items())
    assert case.scores(0) != case.scores(1)


@EVERY
def test_noise_in_test_rows_leaves_the_models_as_they_are(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    case.train(**SYSTEMS[system])
    before, scores = case.models(), case.scores()
    test = case.parts == "test"
    rng = np.random.default_rng(9)
    for block in case.blocks:
        block[test] = rng.normal(size=(test.sum(), block.shape[1])) * 30
    case.targets[test] = rng.random((test.sum(), 3)) < 0.5
    case.train(**SYSTEMS[system])
    assert case.models() == before
    dev = [case.dataset.ids(160)[row] for row in np.flatnonzero(case.parts == "dev")]
    assert [case.scores()[name] for name in dev] == [scores[name] for name in dev]


@pytest.mark.parametrize("system", ["forest", "svm", "knn", "dummy", "linear"])
def test_noise_in_dev_rows_too_where_nothing_is_stopped_or_weighted_by_them(
    system: str, make_case: Callable[..., Case]
) -> None:
    case = make_case()
    params = {**SYSTEMS[system], **({"patience": 99} if system == "linear" else {})}
    case.train(**params)
    before = case.models()
    dev = case.parts == "dev"
    for block in case.blocks:
        block[dev] = np.random.default_rng(9).normal(size=(dev.sum(), block.shape[1])) * 30
    case.targets[dev] = 1 - case.targets[dev]
    case.train(**params)
    now = case.models()
    if system == "linear":  # the best epoch is chosen by dev; the scaling knows of train only
        before, now = ({name: data for name, data in each.items() if "scaler" in name} for each in (before, now))
    assert now == before


@pytest.mark.parametrize("task", get_args(Task))
def test_unlabelled_rows_are_not_learnt_from_but_get_predictions(task: Task, make_case: Callable[..., Case]) -> None:
    case = make_case(task)
    blank = np.arange(160) % 4 == 1
    case.classes = () if task == "regression" else ("c0", "c1", "c2")
    case.targets[blank] = -1 if task == "multiclass" else np.nan
    counts = case.train(**SYSTEMS["forest"])
    assert counts["train"] == int(((PARTS == "train") & ~blank).sum())
    assert len(case.scores()) == 64
    before = case.models()
    for block in case.blocks:
        block[blank & (PARTS == "train")] = 99.0
    # Scaling is learnt from labelled rows as well, so nothing at all may move.
    case.train(**SYSTEMS["forest"])
    assert case.models() == before


@pytest.mark.parametrize("system", ["attention", "late", "late-forest"])
def test_what_stands_in_for_a_missing_input_leaks_nowhere(system: str, make_case: Callable[..., Case]) -> None:
    case = make_case()
    rows = np.arange(160)
    case.usable = (rows % 5 != 1, rows % 5 != 2)
    case.train(**SYSTEMS[system])
    before, scores = case.models(), case.scores()
    inputs = case.inputs
    for name, block, usable in zip("tv", case.blocks, case.usable, strict=True):
        case.dataset.matrix(name, block, usable=usable, missing=77.0)
    run(
        TrainParams(**{"features": ["t", "v"], **SYSTEMS[system]}),
        inputs,
        case.outputs,
        TrainingSettings("cpu"),
        SilentProgress(),
    )
    assert case.models() == before
    assert case.scores() == scores


def test_a_single_class_in_train_is_predicted_always(
    make_case: Callable[..., Case], caplog: pytest.LogCaptureFixture
) -> None:
    case = make_case("multiclass")
    case.targets[case.parts == "train"] = 1
    for system in SYSTEMS.values():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "diptych.heads"):
            case.train(**system)
        assert "the train rows hold a single class" in caplog.text
        assert {int(np.argmax(row)) for row in case.scores().values()} == {1}


def test_classes_that_train_lacks_keep_their_column(make_case: Callable[..., Case]) -> None:
    case = make_case("multiclass")
    case.classes = ("c0", "c1", "c2", "never")
    case.targets[(case.parts == "train") & (case.targets == 2)] = 0
    case.train(**SYSTEMS["forest"])
    scores = np.array(list(case.scores().values()))
    assert scores.shape == (64, 4)
    assert not scores[:, 2:].any()
