"""The desk of `desk.py` in a fresh folder."""

from pathlib import Path

import pytest

from tests.stages.prepare.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
