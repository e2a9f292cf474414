"""What README and docs tell a newcomer is true: YAML and TOML are accepted, commands exist, links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from pipeline.cli import app
from pipeline.experiments.grid import read_grid
from pipeline.machine.settings import load_settings
from pipeline.params.recipes import overlaid
from pipeline.params.sections import validate_params
from pipeline.params.yaml_file import parse_yaml
from stages.prepare.sources.table.params import TableParams
from store import MatrixBlock, MatrixHeader, write_matrix
from tests.end_to_end.docs.pages import PAGES, SHELL, Block, all_blocks, blocks
from tests.pipeline.project import ROOT
from tests.stages.prepare.sets.painting import paint
from tests.stages.prepare.sets.preparing import prepare

_PARAMS = (ROOT / "params.yaml").read_text("utf-8")
_YOUR_DATA = "docs/your-data.md"
# Where a page names vectors of a recipe beside those of the default run.
_VECTORS_OF = {"docs/fusions.md": "recipes/all-fusions.yaml"}


def _all(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, *languages)]


def _over(text: str, overlay: str) -> str:
    return overlaid(text, YAML(typ="safe").load(overlay))


@pytest.mark.parametrize("block", _all("yaml"), ids=str)
def test_its_params_are_valid(block: Block, tmp_path: Path) -> None:
    if block.text.startswith("# sweeps/"):
        (tmp_path / "grid.yaml").write_text(block.text, "utf-8")
        assert read_grid(tmp_path / "grid.yaml").features
        return
    text = _PARAMS
    if block.page in _VECTORS_OF:
        recipe = YAML(typ="safe").load((ROOT / _VECTORS_OF[block.page]).read_text("utf-8"))
        text = overlaid(text, {"fit": recipe["fit"], "embed": {**recipe["embed"], "replace": False}})
    if block.page == _YOUR_DATA:  # the recipe of the regression is laid over that of the films
        text = _over(text, blocks(_YOUR_DATA, "yaml")[0].text)
    text = _over(text, block.text)
    assert validate_params(parse_yaml(text, Path(block.page)), text, Path(block.page))


def test_your_data_explains_each_key_of_the_section_table() -> None:
    page = (ROOT / _YOUR_DATA).read_text("utf-8")
    explained = {name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert set(TableParams.model_fields) <= explained


@pytest.mark.parametrize("block", _all("toml"), ids=str)
def test_its_settings_are_valid(block: Block, tmp_path: Path) -> None:
    local = tmp_path / "local.toml"
    local.write_text(block.text)
    settings = load_settings(local, {})
    named = tomllib.loads(block.text)
    assert named
    for name, value in named.items():
        expected = tuple(str(Path(each).expanduser()) for each in value) if isinstance(value, list) else value
        assert getattr(settings, name) == expected


def test_the_products_of_data_sets_are_read(tmp_path: Path) -> None:
    (block,) = blocks("docs/data-sets.md", "json")
    product = json.loads(block.text)
    folder = tmp_path / "products"
    paint(folder / product["image"], 0, [0])
    (folder / "products.jsonl").write_text(block.text, "utf-8")
    manifest, summary = prepare("mmfrb", folder)
    assert (manifest.ids(), manifest.images(), summary.rejected) == ([product["id"]], [product["image"]], {})
    assert manifest.info.classes == (product["category"],)
    assert [json.loads(str(manifest.meta(key)[0])) for key in ("items", "landmarks")] == [
        product["items"],
        product["landmarks"],
    ]


def test_the_matrices_open_as_the_readme_says(tmp_path: Path) -> None:
    (block,) = blocks("README.md", "python")
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    header = MatrixHeader(list("abcd"), 3, "float32", np.zeros(3), {})
    written = MatrixBlock(vectors, np.ones(4, dtype=bool), np.ones(4, dtype=bool))
    for suffix in (".zarr.zip", ".h5"):
        write_matrix(tmp_path / f"data/embed/caption-minilm{suffix}", header, [written], durability="none")
    check = f"assert vectors.tolist() == same.tolist() == {vectors.tolist()}, (vectors, same)\n"
    subprocess.run([sys.executable, "-c", block.text + check], cwd=tmp_path, check=True)


def test_the_readme_draws_the_folders_that_are_there() -> None:
    (block,) = blocks("README.md", "text")
    drawn: set[str] = set()
    above: list[str] = []
    for line in block.text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.findall(r"([\w-]+)/ *", re.match(r" *(?:[\w-]+/ +)+|.*", line + " ")[0])  # type: ignore[index]
        assert names, line
        drawn |= {"/".join([*above[:depth], name]) for name in names}
        above = [*above[:depth], names[-1]]
    assert {folder for folder in drawn if not (ROOT / folder).is_dir()} == set()
    rooms = {file.parent for top in ("pipeline", "stages", "store") for file in (ROOT / top).glob("*/__init__.py")}
    rooms |= {file.parent for file in (ROOT / "stages/models").glob("*/__init__.py")}
    assert {str(room.relative_to(ROOT)) for room in rooms} <= drawn


def test_the_tables_of_nlvr_follow_from_its_files(tmp_path: Path) -> None:
    (block,) = blocks("docs/results/nlvr.md", "console")
    kept = {path.name: path.read_bytes() for path in (ROOT / "docs/results").iterdir() if path.is_file()}
    shutil.copytree(ROOT / "docs/results", tmp_path / "docs/results")
    script = block.text.replace("python", sys.executable)
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, check=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "docs/results").iterdir() if path.is_file()} == kept


def _typed(page: Path) -> list[str]:
    """Read the commands of a page, also those that no test executes and those within a line."""
    text = page.read_text("utf-8")
    typed = [line for block in all_blocks(page) if block.language in SHELL for line in block.commands.splitlines()]
    inline = re.findall(r"`((?:diptych|make|python -m benchmarks)\b[^`]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    return [re.split(r" # ", command)[0] for command in typed] + [" ".join(each.split()) for each in inline]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_commands_exist(page: Path) -> None:
    commands = _typed(page)
    top: Any = get_command(app)
    for words in (re.split(r"&&|[|;>]", each) for each in commands):
        for call in (each.split() for each in words if re.search(r"(^|\s)diptych( |$)", each)):
            _exists(top, call[call.index("diptych") + 1 :])
    makes = {name for each in commands for name in re.findall(r"^make ([a-z-]+)", each)}
    assert makes <= set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    options = {name for each in commands if "-m benchmarks" in each for name in re.findall(r" (--[a-z]+)", each)}
    assert options <= set(re.findall(r'"(--[a-z]+)"', (ROOT / "benchmarks/__main__.py").read_text("utf-8")))


def _exists(command: Any, words: list[str]) -> None:
    """Hold the words behind `diptych` against its commands and their options."""
    known = {option for each in command.params for option in each.opts}
    for word in words:
        if word in getattr(command, "commands", {}):
            command = command.commands[word]
            known |= {option for each in command.params for option in each.opts}
        elif word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known | {"--help"}, f"{command.name} has no {word}: {' '.join(words)}"
        else:
            assert not hasattr(command, "commands") or (command.name == "diptych" and "--log-json" in words), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
