"""The fixture of the tests of `evaluate`: a multilabel case."""

from __future__ import annotations

from typing import Any

import pytest

from .case import Case


@pytest.fixture
def case(dataset: Any) -> Case:
    return Case(dataset)
