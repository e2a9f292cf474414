"""A small project folder with the real dvc.yaml and stage code, and params that run in seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.warm import inherited, warm_path

ROOT = Path(__file__).resolve().parents[2]

SMALL: dict[str, Any] = {
    "prepare": {
        "source": "scenes",
        "path": "stages/prepare/sources/scenes.yaml",
        "scenes": {"items": 100, "size": 64},
    },
    "split": {"test": 0.2, "dev": 0.1, "seed": 0},
    "fit": {},
    "embed": {
        "caption-hash": {"encoder": "hash", "field": "caption"},
        "image-colors": {"encoder": "colorhist", "field": "image"},
    },
    "reduce": {},
    "fuse": {"both": {"fusion": "concat", "features": ["caption-hash", "image-colors"]}},
    "train": {
        "dummy": {"features": ["caption-hash"], "head": "dummy"},
        "text": {"features": ["caption-hash"], "head": "knn", "neighbours": 3},
        "joined": {"features": ["both"], "head": "knn", "neighbours": 3},
    },
    "evaluate": {"threshold": 0.4},
    "retrieve": {"by-image": {"features": ["image-colors"], "k": [1, 5]}},
    "report": {"title": "A small run", "examples": 4},
    "store": {"format": "zarr.zip"},
}


def make_project(folder: Path, params: dict[str, Any] | None = None) -> Path:
    """Copy what a run reads into `folder`, put it under git and DVC, and write the params."""
    for name in ("stages", "store", "pipeline", "recipes", "metrics"):
        ignored = shutil.ignore_patterns("__pycache__", "*.json")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    write_params(folder, params or SMALL)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run([*git, *command], cwd=folder, check=True, capture_output=True)
    return folder


def write_params(folder: Path, params: dict[str, Any]) -> None:
    """Write params.yaml."""
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(params, stream)


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which `diptych` and `dvc` are found and no setting of this machine is."""
    kept = {name: value for name, value in inherited().items() if not name.startswith("DIPTYCH_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", **more}


def warm(**more: str) -> dict[str, str]:
    """Return `environment`, in which `diptych` starts warm; also where `dvc` or a shell starts it."""
    given = environment(**more)
    return {**given, "PATH": f"{warm_path()}{os.pathsep}{given['PATH']}"}


def call(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project and return what it said; `diptych` starts warm, see `tests.warm`."""
    given = warm(**more)
    found = shutil.which(command[0], path=given["PATH"]) or command[0]
    return subprocess.run(
        [found, *command[1:]], cwd=folder, env=given, capture_output=True, text=True, timeout=300, check=False
    )
