"""Clones of one team: small projects over parts of the same posts that share a store."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from store import Matrix, open_matrix
from tests.pipeline.project import SMALL, environment, make_project

BATCH = 4
BATCH_SECONDS = 0.15
COMMIT_SECONDS = 0.3
THROTTLED = Path(__file__).with_name("throttled")
PARAMS: dict[str, Any] = {
    **SMALL,
    "prepare": {
        "source": "table",
        "path": "posts/posts.csv",
        "table": {"id": "id", "image": "image", "text": "caption", "label": "kind"},
    },
    "fuse": {},
    "train": {"text": {"features": ["caption-hash"], "head": "knn", "neighbours": 3}},
    "retrieve": {},
}
ENCODERS = ("caption-hash", "image-colors")


def make_clone(folder: Path, posts: Sequence[int]) -> Path:
    """Make a project over some posts, in that order; post n has the same picture and caption in every clone."""
    make_project(folder, PARAMS)
    (folder / "posts").mkdir()
    rows = [["id", "image", "caption", "kind"]]
    for number in posts:
        pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "posts" / f"{number}.png")
        rows.append([f"p{number}", f"{number}.png", f"thing number {number}", ["warm", "cold"][number % 2]])
    with (folder / "posts" / "posts.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder


def start(folder: Path, *command: str, store: Path, batch_seconds: float = BATCH_SECONDS) -> subprocess.Popen[str]:
    """Start a command in a clone with slow encoders and the shared store."""
    known = environment()
    paths = ":".join(path for path in (str(THROTTLED), known.get("PYTHONPATH", "")) if path)
    env = environment(
        PYTHONPATH=paths,
        TEST_BATCH_SECONDS=str(batch_seconds),
        DIPTYCH_STORE=str(store),
        DIPTYCH_COMMIT_SECONDS=str(COMMIT_SECONDS),
    )
    # A group of its own, so that a test which kills the command can tell what it has left running.
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    )


def embedded(said: str) -> dict[str, tuple[int, int]]:
    """Read (cached, new) of each encoder from what a run printed."""
    found = re.findall(r"^embed (\S+): (\d+) cached, (\d+) new\S*.*, 0 failed", said, re.MULTILINE)
    return {name: (int(cached), int(new)) for name, cached, new in found}


def matrix(folder: Path, name: str) -> Matrix:
    """Open a matrix that `embed` wrote."""
    return open_matrix(folder / "data" / "embed" / f"{name}.zarr.zip")


def matrix_bytes(folder: Path) -> dict[str, bytes]:
    """Read the matrices of a clone."""
    return {name: (folder / "data" / "embed" / f"{name}.zarr.zip").read_bytes() for name in ENCODERS}
