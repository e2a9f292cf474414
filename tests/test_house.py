"""One word per stage, and a house that one can see: rooms inside rooms, none too full, no confetti, no long files."""

from __future__ import annotations

import ast
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.cli import app
from pipeline.params.sections import SECTIONS, VERBS
from pipeline.verbs import RUNNERS
from stages.models.training.cause import Sources

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = ("prepare", "split", "fit", "embed", "reduce", "fuse", "train", "evaluate", "retrieve", "report")


def _yaml(name: str) -> dict[str, object]:
    content: dict[str, object] = YAML(typ="safe").load(ROOT / name)
    return content


def test_the_verbs_are_the_ten_of_the_house_in_the_order_of_a_run() -> None:
    assert VERBS == EXPECTED
    assert (*EXPECTED, "store") == SECTIONS


def test_params_yaml_has_one_section_per_verb() -> None:
    assert tuple(_yaml("params.yaml")) == (*EXPECTED, "store")


def test_dvc_stages_are_the_verbs_and_the_plumbing() -> None:
    stages = _yaml("dvc.yaml")["stages"]
    assert isinstance(stages, dict)
    assert set(stages) == {*EXPECTED, "wire"}
    for verb, stage in stages.items():
        command = (stage.get("do") or stage)["cmd"].split()
        assert command[:2] == ["diptych", verb]


def test_every_verb_is_a_visible_command_with_help_in_that_order() -> None:
    commands = {each.callback.__name__: each for each in app.registered_commands if each.callback}
    assert [name for name in commands if name in EXPECTED] == list(EXPECTED)
    assert set(RUNNERS) == set(EXPECTED)
    assert all(commands[verb].callback.__doc__ and not commands[verb].hidden for verb in EXPECTED)


def test_every_verb_has_a_folder_of_code_and_one_of_tests() -> None:
    for verb in EXPECTED:
        assert (ROOT / "stages" / verb / "params.py").is_file()
        assert (ROOT / "stages" / verb / "run.py").is_file()
        assert any((ROOT / "tests" / "stages" / verb).glob("test_*.py")), f"no tests for {verb}"


def test_outputs_lie_in_the_folder_of_their_verb() -> None:
    stages = _yaml("dvc.yaml")["stages"]
    assert isinstance(stages, dict)
    for verb, stage in stages.items():
        body = stage.get("do") or stage
        outs = [*body.get("outs", []), *body.get("metrics", [])]
        for out in (next(iter(each)) if isinstance(each, dict) else each for each in outs):
            assert verb in out.split("/")[:2], f"{out} is not in a folder of {verb}"


SOURCE = ("pipeline", "stages", "store")
_MARKS = {"__init__.py", "py.typed"}  # of a package: what it is for, and a flag for type checkers
_ALONE = {
    "stages.models.encoders.image.picture_kinds": "changes no result, unlike the decoder that asks it: UNWATCHED",
    "stages.report.page": "what a page is and how it is put together; run is the door of the verb",
}
"""Modules with one neighbour for importer that stay apart, each with its reason."""


def _files(*tops: str) -> list[Path]:
    return [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_a_folder_has_twelve_entries_at_most() -> None:
    folders = {path.parent for path in _files(*SOURCE, "tests")}
    folders |= {ROOT / top for top in SOURCE} | {parent.parent for parent in folders if parent.parent != ROOT}
    for folder in sorted(folders):
        entries = [each.name for each in folder.iterdir() if each.name not in _MARKS and each.name != "__pycache__"]
        assert len(entries) <= 12, f"{folder.relative_to(ROOT)} has {len(entries)} entries; give some a room: {entries}"


def test_every_room_says_in_its_first_line_what_it_is_for() -> None:
    for folder in {path.parent for path in _files(*SOURCE)}:
        told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
        assert told, f"{folder.relative_to(ROOT)}/__init__.py: expected a line that says what the room is for"


def test_no_module_stands_loose_in_stages() -> None:
    loose = [path.name for path in (ROOT / "stages").glob("*.py") if path.name not in _MARKS]
    assert loose == ["contract.py"]


def test_no_file_of_source_is_longer_than_300_lines() -> None:
    long = {_module(path): _lines(path) for path in _files(*SOURCE) if _lines(path) > 300}
    assert not long, f"split along what a reader looks for: {long}"


def test_no_function_has_more_than_40_lines_of_code() -> None:
    for path in _files(*SOURCE):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                size = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert size <= 40, f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {size} lines of code"


def test_a_module_that_one_neighbour_alone_imports_and_has_room_for_stands_in_it() -> None:
    """Catalogues are left out: there a new encoder, fusion or head is one class in a file of its own and one row."""
    sources = Sources(ROOT)
    paths = {_module(path): path for path in _files(*SOURCE)}
    importers: dict[str, set[str]] = {name: set() for name in paths}
    for name in paths:
        for each in sources.imports(name):
            importers[each].add(name)
    for name, path in paths.items():
        others = {each for each in importers[name] if paths[each].name != "__init__.py"}
        if len(others) != 1 or name in _ALONE or path.name == "__init__.py":
            continue
        (one,) = others
        if paths[one].parent == path.parent and not _holds_rows(paths[one]):
            total = _lines(path) + _lines(paths[one])
            assert total > 250, f"{name} is imported by {one} alone, and both have {total} lines: make them one"


def _holds_rows(path: Path) -> bool:
    """Tell whether a module is a catalogue: a table of rows by name."""
    return path.stem in ("catalog", "rows") or path.parent.name == "catalog"
