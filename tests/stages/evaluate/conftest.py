"""The fixtures of the tests of `evaluate`: a multilabel case of written predictions, and a trained experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from store.items.records import Task
from tests.stages.evaluate.case import Case, Experiment


@pytest.fixture
def case(dataset: Any) -> Case:
    return Case(dataset)


@pytest.fixture
def make_experiment(dataset: Any, make_toy: Any) -> Callable[..., Experiment]:
    def make(task: Task = "multilabel", **facts: Any) -> Experiment:
        toy = make_toy(task)
        targets = toy.y[:, 0].astype(np.float64) if task == "regression" else toy.y.copy()
        return Experiment(dataset, task, toy.blocks, targets, **facts)

    return make
