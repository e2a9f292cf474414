"""Run `dvc repro` as a child that ends with its parent, its words in a log; called by `repeat`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from store.errors import RunError

_STAGE = re.compile(r"^(?:Running stage|Stage) '([^']+)'")
_PATIENCE = 20.0  # seconds for a stage to put its finished rows away
_SAID = 5


def repro(targets: Sequence[str], log: Path, told: Callable[[str], None]) -> None:
    """Bring some stages up to date.

    Parameters
    ----------
    targets : sequence of str
        Stages such as retrieve@both; what they need runs before them.
    log : Path
        Gets all that is said.
    told : callable
        Hears the name of each stage when its turn comes.

    Raises
    ------
    RunError
        When a stage fails; with the last words of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dvc", "repro", *targets]
    # A group of its own: DVC does not end its stages when it is told to end, so all of them are told here.
    child = subprocess.Popen(  # noqa: S603 (entries of params.yaml, whose names are checked)
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", process_group=0
    )
    try:
        _listen(child, log, told)
    finally:
        _end(child)
    if child.returncode:
        last = "\n".join(log.read_text("utf-8").strip().splitlines()[-_SAID:])
        raise RunError(
            f"expected `dvc repro` to end well; found exit code {child.returncode}:\n{last}\n{log} says all; mend it "
            "and give the same command again: what was finished is taken from DVC's cache."
        )


def _listen(child: subprocess.Popen[str], log: Path, told: Callable[[str], None]) -> None:
    with child.stdout or nullcontext(()) as said, log.open("w", encoding="utf-8") as stream:
        for line in said:
            stream.write(line)
            stream.flush()
            if found := _STAGE.match(line):
                told(found[1])
    child.wait()


def _end(child: subprocess.Popen[str]) -> None:
    """Interrupt the child and its stages where they still run, then end them by force.

    DVC waits for an interrupted stage and not for one that is told to end; behind `nohup ... &` interrupts are ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            continue
