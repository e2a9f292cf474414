"""The table of docs/reliability.md names every case, and only tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \|$", (ROOT / "docs/reliability.md").read_text(), re.M)


def _tests(path: Path) -> set[str]:
    """Give the names that pytest collects: functions, and what a hypothesis machine is called."""
    body = ast.parse(path.read_text("utf-8")).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    assigned = {ast.unparse(target) for node in body if isinstance(node, ast.Assign) for target in node.targets}
    return {name for name in functions | assigned if name.lower().startswith("test")}


def test_every_case_is_there_once() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 83))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_test_of_a_case_exists(row: tuple[str, str, str, str]) -> None:
    _, what, tests, _ = row
    assert what
    named = re.findall(r"`([^`]+)::([^`]+)`", tests)
    assert named
    assert tests == "<br>".join(f"`{file}::{name}`" for file, name in named)  # nothing escapes the look below
    assert [f"{file}::{name}" for file, name in named if name not in _tests(ROOT / "tests" / file)] == []
