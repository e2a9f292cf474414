"""A killed `diptych train` goes on where it was, and ends in the bytes that an uninterrupted run gives."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.pipeline.project import SMALL, call, environment, make_project

OFTEN = {"DIPTYCH_COMMIT_SECONDS": "0.001"}
EXPERIMENT = {
    "features": ["caption-hash", "image-colors"], "fusion": "attention", "head": "native", "width": 16,
    "hidden": [16], "batch": 2, "epochs": 20, "patience": 20, "seeds": [0, 1],
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("train") / "project", {**SMALL, "train": {"native": EXPERIMENT}})
    for verb in ("prepare", "split", "embed"):
        done = call(folder, "diptych", verb)
        assert done.returncode == 0, done.stderr
    return folder


def outputs(project: Path) -> list[Path]:
    models = sorted(path for path in (project / "models/train/native").rglob("*") if path.is_file())
    return [*models, project / "data/train/native.parquet", project / "data/train/native.history.csv"]


@pytest.mark.slow
def test_a_killed_train_goes_on_and_ends_in_the_same_bytes(project: Path) -> None:
    whole = call(project, "diptych", "train", "native", **OFTEN)
    assert whole.returncode == 0, whole.stderr
    files = outputs(project)
    before = [path.read_bytes() for path in files]
    shutil.rmtree(project / "models/train/native")
    for path in files[-2:]:
        path.unlink()
    command = ["diptych", "train", "native"]
    running = subprocess.Popen(command, cwd=project, env=environment(**OFTEN), stderr=subprocess.DEVNULL)
    states, deadline = project / ".diptych/train", time.monotonic() + 120
    while not list(states.glob("*/seed-1/epoch-*")) and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.005)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    assert list(states.glob("*/seed-1/epoch-*"))
    assert list(states.glob("*/seed-0/done.json"))
    assert not any(path.exists() for path in files)
    done = call(project, *command, **OFTEN)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in outputs(project)] == before
    assert not list(states.iterdir())
