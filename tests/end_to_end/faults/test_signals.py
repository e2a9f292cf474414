"""Every long verb stopped by a signal: it exits with 143 or 130, keeps what was finished, and leaves no temporary."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store import FeatureStore, stats, verify
from tests.end_to_end.clones import start
from tests.pipeline.project import SMALL, call, environment, make_project, write_params

PARAMS = {
    **SMALL,
    "fit": {
        "seen": {
            "encoder": "convae", "field": "image", "size": 16, "hidden": 8, "latent": 4, "epochs": 4000, "batch": 2,
        }
    },
    "fuse": {"learnt": {"fusion": "mf", "features": ["caption-hash", "image-colors"], "epochs": 40000, "batch": 4}},
    "train": {
        "native": {
            "features": ["caption-hash", "image-colors"], "fusion": "attention", "head": "native", "width": 16,
            "hidden": [16], "batch": 2, "epochs": 4000, "patience": 4000,
        }
    },
    "retrieve": {},
}  # fmt: skip
SCENES = {"items": 20_000, "size": 64}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been prepared."""
    folder = make_project(tmp_path_factory.mktemp("signals") / "project", PARAMS)
    assert call(folder, "diptych", "prepare").returncode == 0
    return folder


@pytest.fixture(scope="module")
def embedded(project: Path) -> Path:
    """The same, split and embedded."""
    for verb in ("split", "embed"):
        assert call(project, "diptych", verb).returncode == 0
    return project


@pytest.fixture(autouse=True)
def _interrupts_are_heard() -> Iterator[None]:
    held = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child would inherit that it is ignored
    yield
    signal.signal(signal.SIGINT, held)


def stop(running: subprocess.Popen[str], begun: Callable[[], object], number: int) -> str:
    """Wait until something has been finished, send the signal, and return what was said."""
    deadline = time.monotonic() + 300
    while not begun() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.01)
    assert running.poll() is None, running.communicate()[0]
    running.send_signal(number)
    said = running.communicate(timeout=120)[0]
    assert running.returncode == (130 if number == signal.SIGINT else 128 + number), said
    assert "Traceback" not in said
    assert "stopped: what was finished is kept" in said
    return said


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".tmp-") or path.name.endswith((".tmp", ".old"))]


def last_line(folder: Path) -> dict[str, object]:
    line: dict[str, object] = json.loads((folder / ".diptych/logs/runs.jsonl").read_text().splitlines()[-1])
    return line


def test_embed_keeps_the_rows_that_were_finished(project: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    running = start(project, "diptych", "embed", "image-colors", store=store)
    stop(running, lambda: list(store.glob("v1/*/segments/zarr*")), signal.SIGTERM)
    kept = stats(FeatureStore(store)).rows
    assert 0 < kept < 100
    assert verify(FeatureStore(store), rows=True) == []
    assert temporaries(store) + temporaries(project / "data") == []
    line = last_line(project)
    assert (line["verb"], line["entry"], line["event"]) == ("embed", "image-colors", "stopped")
    assert line["fields"]["exit_code"] == 143  # type: ignore[index]
    done = call(project, "diptych", "embed", "image-colors", DIPTYCH_STORE=str(store))
    assert f"{kept} cached, {100 - kept} new" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(
    ("verb", "name", "output"),
    [("fit", "seen", "models/fit/seen"), ("train", "native", "models/train/native"), ("fuse", "learnt", "data/fuse")],
)
def test_a_training_keeps_its_last_state(embedded: Path, verb: str, name: str, output: str, number: int) -> None:
    states = embedded / ".diptych" / verb
    env = environment(DIPTYCH_COMMIT_SECONDS="0.001")
    running = subprocess.Popen(
        ["diptych", verb, name], cwd=embedded, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    before = {path.name for path in states.rglob("epoch-*")}
    stop(running, lambda: {path.name for path in states.rglob("epoch-*")} - before, number)
    assert [path for path in states.rglob("epoch-*") if not path.name.endswith(".tmp")]
    assert temporaries(embedded) == []
    assert not (embedded / output).exists() or not list((embedded / output).iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_prepare_leaves_the_old_manifest(embedded: Path, number: int) -> None:
    before = (embedded / "data/prepare/manifest.parquet").read_bytes()
    try:
        write_params(embedded, {**PARAMS, "prepare": {**SMALL["prepare"], "scenes": SCENES}})
        running = subprocess.Popen(
            ["diptych", "prepare"], cwd=embedded, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        stop(running, lambda: temporaries(embedded / "data"), number)
    finally:
        write_params(embedded, PARAMS)
    assert temporaries(embedded / "data") == []
    assert (embedded / "data/prepare/manifest.parquet").read_bytes() == before


@pytest.mark.slow
def test_behind_nohup_a_closed_terminal_is_nothing(embedded: Path) -> None:
    running = subprocess.Popen(
        ["nohup", "diptych", "fit", "seen"], cwd=embedded, env=environment(DIPTYCH_COMMIT_SECONDS="0.001"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    states = embedded / ".diptych/fit"
    before = {path.name for path in states.rglob("epoch-*")}
    deadline = time.monotonic() + 300
    while {path.name for path in states.rglob("epoch-*")} <= before and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert running.poll() is None
    running.kill()
    running.communicate(timeout=60)
