"""One data set of scenes in a fresh folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from .case import Case, make_case


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return make_case(tmp_path / "case")
