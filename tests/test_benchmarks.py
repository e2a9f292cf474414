"""The benchmarks run and measure what the goals are about; what they find is for `make bench` to tell."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.__main__ import GOALS, RESULTS
from tests.pipeline.project import ROOT

FIELDS = {"name", "subject", "peer", "ratio", "subject_value", "peer_value", "unit", "note"}


def test_the_results_kept_are_those_of_every_benchmark() -> None:
    rows = json.loads(RESULTS.read_text("utf-8"))
    assert all(row.keys() == FIELDS for row in rows)
    names = {row["name"] for row in rows}
    assert names >= {*GOALS, "store.lookup", "store.rerun", "store.grow", "matrix.verify.zarr", "matrix.verify.h5"}
    assert all(row["ratio"] == pytest.approx(row["subject_value"] / row["peer_value"], rel=0.02) for row in rows)


@pytest.mark.slow
def test_small_benchmarks_run() -> None:
    before = RESULTS.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--small"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} >= set(GOALS)
    assert RESULTS.read_bytes() == before
