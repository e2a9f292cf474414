"""The list of dear tests names tests that exist, and leaves every file of tests one that runs in `make test`."""

from __future__ import annotations

import ast
from pathlib import Path

import tests

from .dear import names

ROOT = Path(tests.__file__).parents[1]
# A whole run of what `make repro` runs as well, or of what tests beside it hold piece by piece.
_WHOLE = frozenset(
    {
        "tests/end_to_end/faults/test_orphan.py",
        "tests/end_to_end/faults/test_spill.py",
        "tests/end_to_end/runs/test_fit.py",
        "tests/end_to_end/runs/test_recipes.py",
        "tests/end_to_end/runs/test_sweep.py",
        "tests/end_to_end/team/test_two_clones.py",
    }
)


def _functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_every_name_is_that_of_a_test() -> None:
    for name in names():
        file, _, rest = name.partition("::")
        assert (ROOT / file).is_file(), f"{name}: no such file; take it out of tests/rules/dear.txt"
        function = rest.partition("[")[0].rpartition("::")[2]
        assert not rest or function in _functions(ROOT / file) | {"runTest"}, f"{name}: no such test; take it out"


def test_every_file_keeps_a_test_that_is_not_dear() -> None:
    whole = {name for name in names() if "[" not in name}
    for file in {name.partition("::")[0] for name in names()} - _WHOLE:
        assert file not in whole
        kept = {name for name in _functions(ROOT / file) if name.startswith("test_") and f"{file}::{name}" not in whole}
        assert kept, f"{file}: expected a test that `make test` runs; found none"
