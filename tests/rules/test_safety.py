"""No source may load what can run code: reliability.md case 75, held by reading the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for name in ("pipeline", "stages", "store", "benchmarks") for path in (ROOT / name).rglob("*.py"))
BANNED_MODULES = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _problems(tree: ast.AST) -> Iterator[str]:
    yield from (f"import {name}" for name in _imports(tree) if name in BANNED_MODULES)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in BANNED_CALLS or given.get("shell") == "True" or given.get("allow_pickle") == "True":
            yield ast.unparse(node)[:80]
        if name == "torch.load" and given.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
        if name == "YAML" and given.get("typ") not in {"'safe'", "'rt'"}:
            yield "YAML that may build objects"
        if given.get("trust_remote_code") == "True" or (
            name in {"np.load", "numpy.load"} and "allow_pickle" not in given
        ):
            yield ast.unparse(node)[:80]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_can_run_what_it_reads(path: Path) -> None:
    assert not list(_problems(ast.parse(path.read_text("utf-8"))))


def test_the_check_can_fail() -> None:
    bad = "import pickle\nfrom joblib import load\ntorch.load(f)\neval('1')\nrun(c, shell=True)\nYAML(typ='unsafe')\n"
    assert len(list(_problems(ast.parse(bad)))) == 6


def test_files_stay_short() -> None:
    long = {str(path): count for path in SOURCES if (count := len(path.read_text("utf-8").splitlines())) > 300}
    assert not long
