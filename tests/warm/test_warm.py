"""A command that starts warm is the command: its folder, environment, streams, exit code and end are its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipeline.project import SMALL, environment, make_project, warm
from tests.warm import warm_path

HELPS = (["--help"], ["catalog", "heads"], ["split", "--fast"], ["plan"])


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_it_says_and_returns_what_the_real_one_does(tmp_path: Path, command: list[str]) -> None:
    def done(environment: dict[str, str], program: Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([program, *command], cwd=tmp_path, env=environment, capture_output=True, check=False)

    real = done(environment(COLUMNS="70"), Path(sys.executable).with_name("diptych"))
    started_warm = done(warm(COLUMNS="70"), Path(warm_path(), "diptych"))
    assert (started_warm.returncode, started_warm.stdout, started_warm.stderr) == (
        real.returncode,
        real.stdout,
        real.stderr,
    )


@pytest.mark.parametrize(("variable", "forked"), [("DIPTYCH_X", True), ("PYTHONHASHSEED", False), ("LC_ALL", False)])
def test_it_starts_cold_where_an_import_may_read_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, forked: bool
) -> None:
    for name, left in {"MALLOC_TRIM_THRESHOLD_": "65536", "HOME": str(tmp_path), "SET_BY_A_TEST": "1"}.items():
        monkeypatch.setenv(name, left)  # as other tests of this process may have left them
    value = "3" if variable == "PYTHONHASHSEED" else "C.UTF-8"
    own = tmp_path / "diptych"  # a client whose real command tells that it was started
    own.write_text(Path(warm_path(), "diptych").read_text().replace(repr(_real()), repr("/bin/echo")))
    own.chmod(0o755)
    said = subprocess.run([own, "catalog", "heads"], env=warm(**{variable: value}), capture_output=True, check=True)
    assert (said.stdout == b"catalog heads\n") is not forked


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_it_and_ends_it_as_it_would_the_real_one(tmp_path: Path, number: signal.Signals) -> None:
    many = {"prepare": {**SMALL["prepare"], "scenes": {"items": 100_000, "size": 64}}}
    project = make_project(tmp_path / "project", {**SMALL, **many})
    asked = subprocess.Popen(
        [Path(warm_path(), "diptych"), "prepare"], cwd=project, env=warm(), stderr=subprocess.DEVNULL
    )
    while asked.poll() is None and not (project / "data").exists():
        time.sleep(0.05)
    asked.send_signal(number)
    assert asked.wait(timeout=60) == 128 + number


def _real() -> str:
    return str(Path(sys.executable).with_name("diptych"))
