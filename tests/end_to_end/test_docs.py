"""What README and docs tell a newcomer is true: YAML is accepted, commands exist, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.cli import app
from pipeline.params import validate_params
from pipeline.recipes import overlaid
from pipeline.settings import load_settings
from pipeline.yaml_file import parse_yaml
from tests.pipeline.project import ROOT

README = (ROOT / "README.md").read_text("utf-8")
FITTING = (ROOT / "docs/fitting.md").read_text("utf-8")


def _blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", [*_blocks("yaml"), *_blocks("yaml", FITTING)])
def test_its_params_are_valid(block: str) -> None:
    text = overlaid((ROOT / "params.yaml").read_text("utf-8"), YAML(typ="safe").load(block))
    assert validate_params(parse_yaml(text, Path("README.md")), text, Path("README.md"))


def test_its_settings_are_valid(tmp_path: Path) -> None:
    (block,) = _blocks("toml")
    local = tmp_path / "local.toml"
    local.write_text(block)
    assert load_settings(local, {}).store == "/mnt/team/diptych-store"


def test_its_commands_exist() -> None:
    commands = {each.callback.__name__ for each in app.registered_commands if each.callback} | {"store"}
    named = re.findall(r"diptych ([a-z]+)", " ".join(_blocks("console") + re.findall(r"`([^`\n]+)`", README)))
    assert named
    assert set(named) <= commands
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", "\n".join(_blocks("console")), re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
