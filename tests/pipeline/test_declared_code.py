"""`dvc.yaml` tells the truth: the dependencies of a stage hold all code that it runs, and none that it does not."""

from __future__ import annotations

import ast
import inspect
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import verbs
from pipeline.params.sections import VERBS
from stages.models.training.cause import PACKAGES, UNWATCHED, Sources

ROOT = Path(__file__).resolve().parents[2]
OURS = Sources(ROOT)
DVC: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
STAGES = (*VERBS, "wire")
_FLAGS = "py.typed"  # a flag for type checkers, which nothing reads


def roots(stage: str) -> list[str]:
    """Return what a verb imports when its turn comes; docs/decisions/*-declared-code.md says why."""
    if stage == "wire":
        return ["pipeline.wiring"]
    runner = {**verbs._SINGLE, **verbs._NAMED}[stage]
    return list(OURS.imported(ast.parse(inspect.getsource(runner))))


def code(sources: Sources, root: Path, modules: Iterable[str]) -> set[str]:
    """Return the files of all that runs with some modules, and those beside them that they may read."""
    paths = [path for module in sources.closure(modules) if (path := sources.path(module))]
    rooms = {path.parent for path in paths} - {root / name for name in PACKAGES}
    beside = [
        path for room in rooms for path in room.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    return {path.relative_to(root).as_posix() for path in (*paths, *beside) if path.name != _FLAGS}


@cache
def files(stage: str) -> set[str]:
    return code(OURS, ROOT, roots(stage))


def declared(stage: str) -> list[str]:
    """Return the dependencies on code that dvc.yaml gives a stage, but for what a template fills in."""
    deps = (DVC[stage].get("do") or DVC[stage])["deps"]
    return [each for each in deps if each.partition("/")[0] in PACKAGES]


def holds(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


def undeclared(run: Iterable[str], stage: str) -> list[str]:
    return sorted(file for file in run if not any(holds(each, file) for each in declared(stage)))


def test_every_stage_of_dvc_yaml_is_looked_at() -> None:
    assert set(DVC) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_all_code_of_a_stage_is_among_its_dependencies(stage: str) -> None:
    missing = undeclared(files(stage), stage)
    assert not missing, (
        f"stage {stage} of dvc.yaml: expected all code that it runs in its `deps`; missing are {', '.join(missing)}. "
        "Add them, or their folder; or, where they can change no result, say why in UNWATCHED of "
        "stages/models/training/cause.py."
    )


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_depends_on_code_that_it_does_not_run(stage: str) -> None:
    idle = [each for each in declared(stage) if not any(holds(each, file) for file in files(stage))]
    assert not idle, f"stage {stage} of dvc.yaml: remove from its `deps` what it does not run: {', '.join(idle)}"
    within = [each for each in declared(stage) for other in declared(stage) if other != each and holds(other, each)]
    assert not within, (
        f"stage {stage} of dvc.yaml: remove from its `deps` what a folder there holds: {', '.join(within)}"
    )


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our sources, to be changed."""
    folder = tmp_path_factory.mktemp("sources")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("import stages.models.measures.similarity", "stages/models/measures/similarity.py"),
        ("from stages.retrieve import ranking", "stages/retrieve/ranking.py"),
        ("from store.items.manifest import Manifest", ""),  # runs already
        ("from store import gc", "store/care/garbage.py"),
        ("from store import StoreError", ""),  # handed on by the package, and of the words that are left out
        ("import store", "store/care/garbage.py"),  # whose names could be any
    ],
)
def test_an_import_without_its_dependency_is_found_wherever_it_stands(copied: Path, line: str, missing: str) -> None:
    source = copied / "stages/split/partition.py"
    before = source.read_text("utf-8")
    source.write_text(
        f"{before}\n\ndef late() -> None:\n    try:\n        {line}\n    finally:\n        pass\n", "utf-8"
    )
    try:
        found = undeclared(code(Sources(copied), copied, roots("split")), "split")
    finally:
        source.write_text(before, "utf-8")
    more = set(found) - set(undeclared(files("split"), "split"))  # which has its own test
    assert missing in more if missing else not more


def test_what_is_left_out_is_imported_by_a_stage_and_says_why() -> None:
    modules = {module for stage in STAGES for module in (*OURS.closure(roots(stage)), *roots(stage))}
    imported = {each for module in modules for each in (module, *OURS.imports(module))}
    idle = sorted(set(UNWATCHED) - imported)
    assert not idle, f"no stage imports {idle}: remove them from UNWATCHED of stages/models/training/cause.py"
    assert all(len(reason.split()) > 5 for reason in UNWATCHED.values())


def test_packages_hand_on_names_and_do_nothing_else() -> None:
    """What `closure` rests on: nobody needs the lines of a package to know what an import runs."""
    for path in (path for name in PACKAGES for path in (ROOT / name).rglob("__init__.py")):
        for node in ast.parse(path.read_bytes()).body:
            listed = isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["__all__"]
            told = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert listed or told or isinstance(node, ast.Import | ast.ImportFrom), f"{path}: {ast.unparse(node)}"


def test_modules_that_a_package_loads_beside_the_one_that_is_asked_for_do_nothing_by_themselves() -> None:
    """`import store` loads all of it: what nobody asked for only defines things."""
    for path in (ROOT / "store").glob("*.py"):
        for node in ast.parse(path.read_bytes()).body:
            told = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert told or not isinstance(node, ast.Expr | ast.For | ast.While | ast.With), f"{path}:{node.lineno}"


def test_nothing_of_ours_is_imported_by_a_name_in_a_string() -> None:
    called = [(path, call) for name in PACKAGES for path in (ROOT / name).rglob("*.py") for call in _late_imports(path)]
    assert called, "expected the source `scenes` to import a package by its name; mend this test"
    for path, call in called:
        name = ast.literal_eval(call.args[0])  # fails where only a run could tell
        assert name.partition(".")[0] not in PACKAGES, f"{path}:{call.lineno}: import it as all else is"


def _late_imports(path: Path) -> list[ast.Call]:
    text = path.read_text("utf-8")
    if "import_module" not in text and "__import__" not in text:
        return []
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).endswith(("import_module", "__import__"))]
