"""One word per stage: the verbs are the same in params.yaml, dvc.yaml, the command line, the folders and the tests."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from pipeline.cli import app
from pipeline.params.sections import SECTIONS, VERBS
from pipeline.verbs import RUNNERS

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
