"""Runs the numeric tests under one combination, and tells which of them broke."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.processors.probe import ROOT
from tests.processors.share import SHARE
from tests.processors.table import THREADS, VARIABLES

LEFT_OUT = {
    "tests/processors": "runs this",
    "tests/store": "files, digests and bytes",
    "tests/end_to_end": "whole runs of what the other tests hold piece by piece: minutes for each combination",
    "tests/pipeline": "commands around the stages, each a process of its own: minutes for each combination",
    "tests/stages/prepare": "decodes, parses and counts",
    "tests/stages/split": "counts, and draws from the bits of a generator",
    "tests/stages/report": "draws what others have computed",
}
"""Folders that use no floating-point kernels themselves, with the reason; all others are numeric, new ones unasked."""

CORE = ("tests/stages/models/fusions/semantic/test_every_fusion.py",)
"""What `make test` runs under the combinations of the core: what other processors broke first."""

PART = 4
"""Of the cases of a file, one in how many is run under each combination."""

PROCESSES = min(4, os.cpu_count() or 1)
_BROKE = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::.+?)?)(?: - (.*))?$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its exit code, what broke with the reason, its summary, and the end of its output."""

    code: int
    broke: Mapping[str, str]
    summary: str
    tail: str


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these variables, one thread, and none of the table's others."""
    others = {*VARIABLES, SHARE}
    kept = {name: value for name, value in os.environ.items() if name not in others and "PYTEST" not in name}
    return {**kept, THREADS: "1", "OMP_WAIT_POLICY": "PASSIVE", "COLUMNS": "250", **variables}


def numeric_tests() -> list[str]:
    """Return what pytest is given for all numeric tests."""
    return ["tests", *(f"--ignore={folder}" for folder in LEFT_OUT)]


def run(variables: Mapping[str, str], tests: Sequence[str], processes: int = PROCESSES, share: str = "") -> Outcome:
    """Run tests with these variables, and none of the table's others; of their cases a `share`, or all."""
    parallel = ["-n", str(processes), "--dist", "loadfile"] if processes > 1 else []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not gpu and not slow",
        "-rfE",
        "--tb=line",
        "-p",
        "no:cacheprovider",
        *parallel,
        *tests,
    ]
    given = environment(variables) | ({SHARE: share} if share else {})
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    return Outcome(
        done.returncode, broken(done.stdout), lines[-1] if lines else "", "\n".join([*lines, done.stderr][-15:])
    )


def broken(output: str) -> dict[str, str]:
    """Return the tests that a run of pytest names as failed, with what they said."""
    return {test: said or "" for test, said in _BROKE.findall(output)}


def imports_of(module: Path) -> set[str]:
    """Return the packages that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
