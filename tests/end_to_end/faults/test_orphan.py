"""Case 11 of reliability.md: `dvc` is killed, the `embed` it had started goes on alone, and the next run is right."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from store import FeatureStore, stats, verify
from tests.end_to_end.clones import embedded, make_clone, matrix_bytes, start
from tests.pipeline.project import call


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_child_of_a_killed_dvc_goes_on_and_the_next_repro_is_right(tmp_path: Path) -> None:
    clone, store = make_clone(tmp_path / "clone", range(80)), tmp_path / "store"
    assert call(clone, "diptych", "prepare").returncode == 0
    dvc = start(clone, "dvc", "repro", "embed@image-colors", store=store)
    wait_for(lambda: list(store.glob("v1/*/segments/zarr*")))
    dvc.send_signal(signal.SIGKILL)
    dvc.wait(20)
    before = stats(FeatureStore(store)).rows
    assert before < 80
    assert alive(dvc.pid), "embed should have outlived dvc"
    # At once, while the orphan is still writing: both compute, neither disturbs the other.
    again = start(clone, "dvc", "repro", "embed@image-colors", "embed@caption-hash", store=store, batch_seconds=0.01)
    said = again.communicate(timeout=120)[0]
    assert again.returncode == 0, said
    assert embedded(said)["image-colors"][0] >= before
    wait_for(lambda: not alive(dvc.pid))
    dvc.communicate(timeout=20)
    assert verify(FeatureStore(store), rows=True) == []
    assert stats(FeatureStore(store)).rows >= 161
    # Whoever came last put the whole file in place: an orphan's is the same.
    alone = make_clone(tmp_path / "alone", range(80))
    for command in ("prepare", "embed"):
        assert call(alone, "diptych", command).returncode == 0
    assert matrix_bytes(clone) == matrix_bytes(alone)
    assert not list((clone / "data").rglob(".tmp-*"))
    status = call(clone, "dvc", "status", "embed@image-colors", "embed@caption-hash", "--json")
    assert status.stdout.strip() == "{}", status.stdout + status.stderr
    done = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True)
    assert "segments" not in done.stdout
