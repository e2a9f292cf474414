"""The fixture of the tests of `train`: an experiment for a task, ready to be trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from store.items.records import Task
from tests.stages.train.case import PARTS, Case


@pytest.fixture
def make_case(dataset: Any, make_toy: Any) -> Callable[..., Case]:
    def make(task: Task = "multilabel") -> Case:
        toy = make_toy(task)
        targets = toy.y[:, 0].astype(np.float64) if task == "regression" else toy.y.copy()
        return Case(dataset, task, [block.copy() for block in toy.blocks], targets, PARTS.copy())

    return make
