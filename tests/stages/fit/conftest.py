"""One data set of scenes in a fresh folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.stages.fit.case import Case, make_case


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return make_case(tmp_path / "case")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Keep the threads of tiny networks from waiting for each other."""
    torch.set_num_threads(1)
