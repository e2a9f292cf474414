"""What README and docs tell a newcomer is true: YAML is accepted, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.cli import app
from pipeline.params import validate_params
from pipeline.recipes import overlaid
from pipeline.settings import load_settings
from pipeline.yaml_file import parse_yaml
from stages.prepare.table_params import TableParams
from tests.pipeline.project import ROOT, call, make_project

README = (ROOT / "README.md").read_text("utf-8")
YOUR_DATA = (ROOT / "docs/your-data.md").read_text("utf-8")
FITTING = (ROOT / "docs/fitting.md").read_text("utf-8")
MISSING = (ROOT / "docs/missing-data.md").read_text("utf-8")
INSIDE = (ROOT / "docs/inside.md").read_text("utf-8")
DATA_SETS = (ROOT / "docs/data-sets.md").read_text("utf-8")
RETRIEVAL = (ROOT / "docs/retrieval.md").read_text("utf-8")


def _blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


_PAGES = (README, FITTING, MISSING, INSIDE, DATA_SETS, RETRIEVAL)


@pytest.mark.parametrize("block", [block for page in _PAGES for block in _blocks("yaml", page)])
def test_its_params_are_valid(block: str) -> None:
    text = overlaid((ROOT / "params.yaml").read_text("utf-8"), YAML(typ="safe").load(block))
    assert validate_params(parse_yaml(text, Path("README.md")), text, Path("README.md"))


def _films() -> list[str]:
    """Lay the recipes of docs/your-data.md over params.yaml, one after the other."""
    texts = [(ROOT / "params.yaml").read_text("utf-8")]
    for block in _blocks("yaml", YOUR_DATA):
        texts.append(overlaid(texts[-1], YAML(typ="safe").load(block)))
    return texts[1:]


def test_the_recipes_of_your_data_are_valid() -> None:
    films, gross = _films()
    for text in (films, gross):
        assert validate_params(parse_yaml(text, Path("your-data.md")), text, Path("your-data.md"))


def test_your_data_explains_each_key_of_the_section_table() -> None:
    explained = {name for row in re.findall(r"^\| (`.*?) \|", YOUR_DATA, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert set(TableParams.model_fields) <= explained


@pytest.mark.slow
def test_your_data_prints_what_the_page_shows(tmp_path: Path) -> None:
    project = make_project(tmp_path / "clone")
    (project / "params.yaml").write_text(_films()[0], "utf-8")
    (script,) = _blocks("python", YOUR_DATA)
    subprocess.run([sys.executable, "-c", script], cwd=project, check=True)
    done = call(project, "diptych", "prepare", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == _blocks("text", YOUR_DATA)[1].strip()


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
