"""Eight processes on one store: case 23 of docs/reliability.md."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from store import FeatureStore, verify
from tests.store.faults import crowd

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("seconds", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_eight_processes_on_overlapping_rows_lose_none_and_agree(tmp_path, seconds):
    root = tmp_path / "store"
    command = [sys.executable, "-m", crowd.__name__, str(root), "8", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    times = Counter(number for numbers in told["stored"] for number in numbers)
    assert max(times.values()) > 1  # some rows were computed twice, or nothing was tried
    assert len(set(told["seen"])) == 1
    keys, vectors = crowd.rows(0, crowd.KEYS)
    (log,) = FeatureStore(root).logs()
    found = log.locate(keys)
    assert set(np.flatnonzero(found.found).tolist()) == set(times)
    np.testing.assert_allclose(log.read(found, found.found.nonzero()[0]), vectors[found.found], atol=crowd.TOLERANCE)
    assert verify(FeatureStore(root), rows=True) == []
    assert list(tmp_path.rglob(".tmp-*")) == []
