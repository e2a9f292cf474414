"""Pages typed as they stand: a small project under the names of the default run, and what each page needs besides."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from pipeline.params.recipes import overlaid
from tests.end_to_end.docs.pages import SHELL, Block, blocks
from tests.end_to_end.members import WHO
from tests.pipeline.project import ROOT, SMALL, warm, write_params

PARAMS: dict[str, Any] = {
    **SMALL,
    "prepare": {**SMALL["prepare"], "scenes": {"items": 80, "size": 64}},
    "embed": {
        "caption-minilm": {"encoder": "hash", "field": "caption"},
        "caption-use": {"encoder": "hash", "field": "caption", "dim": 32},
        "image-lite0": {"encoder": "colorhist", "field": "image"},
    },
    "fuse": {},
    "train": {
        "dummy": {"features": ["caption-minilm"], "head": "dummy"},
        "text-minilm": {"features": ["caption-minilm"], "head": "knn", "neighbours": 3},
        "text-use": {"features": ["caption-use"], "head": "knn", "neighbours": 3},
        "attention": {
            "features": ["caption-minilm", "image-lite0"],
            "fusion": "attention",
            "head": "native",
            "width": 8,
            "hidden": [8],
            "epochs": 2,
            "lr": 0.002,
        },
    },
    "retrieve": {
        "by-image": {"features": ["image-lite0"], "k": [1, 5]},
        "by-both": {"features": ["caption-minilm", "image-lite0"], "k": [1, 5]},
    },
}
"""The entries that the pages name, by encoders that take no time."""


@dataclass(frozen=True)
class Scene:
    """What a page takes for granted.

    Attributes
    ----------
    before
        Lays out what the page says that is there.
    instead
        Words of its commands that stand for something of the reader, and what stands here.
    params
        Whether its blocks of YAML are laid over params.yaml, in the order of the page.
    exact
        Whether it must print just what is shown; otherwise numbers and rows of tables may differ.
    """

    before: Callable[[Path], object] = lambda _: None
    instead: Mapping[str, str] = field(default_factory=dict)
    params: bool = False
    exact: bool = False


def type_page(page: str, scene: Scene, project: Path, **more: str) -> None:
    """Type all blocks of commands of a page in a project, and hold what they print against what the page shows."""
    scene.before(project)
    typed = blocks(page, *SHELL, *(["yaml"] if scene.params else []))
    told = "\n".join(block.commands for block in typed)
    assert all(words in told for words in scene.instead), "the page says no more what the scene replaces"
    session = project.parent / "session"  # what a block exports, the next ones see
    session.touch()
    for block in typed:
        if block.language == "yaml":
            lay_over(project, block)
            continue
        script = block.commands.replace(" && ", "\n")  # `set -e` does not mind what fails before `&&`
        for words, here in scene.instead.items():
            script = script.replace(words, here)
        said = type_here(project, f". {session}\n{script}\nexport -p > {session}", str(block), **more)
        if scene.exact:
            assert _lines("\n".join(block.shown)) in _lines(said), f"{block}\n{said}"
        else:
            assert promised(block.shown) <= {shape(line) for line in said.splitlines()}, f"{block}\n{said}"


def type_here(project: Path, script: str, whence: str, **more: str) -> str:
    """Run commands in a project and return what they printed."""
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        cwd=project,
        env=warm(**WHO, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{whence}\n{done.stdout}"
    return done.stdout


def promised(shown: list[str]) -> set[str]:
    """Return the shapes of the lines that must be printed: all but the rows of tables, which depend on the data."""
    found, in_table = set(), False
    for line in shown:
        in_table = bool(line.strip()) and (in_table or "───" in line)
        if line.strip() and not in_table:
            found.add(shape(line))
    return found


def shape(line: str) -> str:
    """Return a printed line without its numbers, and without the times at its end."""
    return re.sub(r"\d[\d.,]*", "0", " ".join(line.split())).partition("; load")[0]


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def lay_over(project: Path, block: Block) -> None:
    """Lay a block of YAML over params.yaml."""
    params = project / "params.yaml"
    params.write_text(overlaid(params.read_text("utf-8"), YAML(typ="safe").load(block.text)), "utf-8")


def commit(project: Path) -> None:
    """Commit twice what a run has left, so that there is a revision before the last."""
    for command in ("git add -A", "git commit -qm 'A run'", "git commit -q --allow-empty -m 'Another'"):
        type_here(project, command, "commit")


def installed(project: Path) -> None:
    """Lay out a clone in which everything is installed: the stamps of the Makefile, and this environment as .venv.

    Installing needs a network and minutes: `.ci/run` does it.
    """
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, project / name)
    home = project / ".venv"
    home.mkdir()
    for name in ("lib", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (home / name).symlink_to(Path(sys.prefix) / name)
    (home / "bin").symlink_to(Path(sys.executable).parent)
    for name in (".base", ".dev"):
        (home / name).touch()
    (project / "tests").mkdir()
    shutil.copy(ROOT / "tests/stages/models/test_catalog.py", project / "tests")


def readme(project: Path) -> None:
    """Lay out an installed clone with a small grid, and posts beside it."""
    installed(project)
    grid = YAML(typ="safe").load((ROOT / "sweeps/heads.yaml").read_text("utf-8"))
    grid["base"] |= {"seeds": [0], "components": 8, "epochs": 2}
    (project / "sweeps").mkdir()
    with (project / "sweeps/heads.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(grid, stream)
    posts = project.parent / "posts"
    posts.mkdir()
    rows = [["post_id", "picture", "caption", "tags", "author"]]
    for number in range(60):
        picture(posts / f"{number}.png", number)
        tags = [["warm", "cold"][number % 2], *(["round"] if number % 3 else [])]
        rows.append([f"p{number}", f"{number}.png", f"thing number {number}", "|".join(tags), f"a{number // 2}"])
    with (posts / "posts.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def picture(path: Path, seed: int) -> None:
    """Draw a small picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def benchmarks(project: Path) -> None:
    """Copy the benchmarks and what they write; they write beside their own code."""
    shutil.copytree(ROOT / "benchmarks", project / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", project / "docs")


def other_params(**sections: Any) -> Callable[[Path], None]:
    """Return what writes params with some sections in place of the small ones."""
    return lambda project: write_params(project, {**PARAMS, **sections})


def sharing(project: Path) -> None:
    """Lay out another project, whose rows the janitor keeps."""
    shutil.copytree(project / "data/prepare", project.parent / "other/data/prepare")


SCENES: dict[str, Scene] = {
    "README.md": Scene(
        readme,
        {"--seeds 10": "--seeds 2 text-minilm", "ITEM": "p0", "--encoder minilm": "--encoder hash"},
        params=True,
    ),
    "docs/benchmarks.md": Scene(benchmarks, {"--small": "--small --only store"}),
    "docs/compare.md": Scene(),
    "docs/encoders.md": Scene(
        other_params(embed={**PARAMS["embed"], "caption-minilm": {"encoder": "minilm", "field": "caption"}})
    ),
    "docs/missing-data.md": Scene(other_params(prepare={**SMALL["prepare"], "scenes": {"items": 600}}), exact=True),
    "docs/report.md": Scene(commit),
    "docs/search.md": Scene(lambda project: picture(project / "holiday.jpg", 0)),
    "docs/sharing.md": Scene(sharing),
}
