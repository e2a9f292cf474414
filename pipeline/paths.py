"""Where every file of a project lies: the one place that knows the tree below the project's root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import InputError

PARAMS_FILE, DVC_FILE, LOCAL_FILE = Path("params.yaml"), Path("dvc.yaml"), Path("local.toml")
RECIPES = Path("recipes")
PREPARE, SPLIT = Path("data/prepare"), Path("data/split")
MANIFEST, PARTS = PREPARE / "manifest.parquet", SPLIT / "split.parquet"
REJECTS = PREPARE / "rejects.csv"
DATA, METRICS, MODELS = Path("data"), Path("metrics"), Path("models")
REPORT = Path("report")
RUNS = Path(".diptych/runs")
LOG = Path(".diptych/logs/runs.jsonl")
SWEEPS = Path(".diptych/sweep")
REPEATS, BORROWED = Path(".diptych/repeat"), Path(".diptych/repeat/before")
FIT_STATES, TRAIN_STATES, FUSE_STATES = Path(".diptych/fit"), Path(".diptych/train"), Path(".diptych/fuse")
VERIFIED, SCRATCH = Path(".diptych/verified"), Path(".diptych/scratch")
PREVIEW, UNWATCHED = Path(".diptych/preview"), Path(".diptych/unwatched")

PRODUCERS = ("embed", "reduce", "fuse")
"""The verbs that write matrices, in the order in which they may read each other."""


def find_root(start: Path) -> Path:
    """Return the project's root: the nearest folder upwards with params.yaml and dvc.yaml.

    Raises
    ------
    InputError
        When `start` is in no project.
    """
    for folder in (start, *start.parents):
        if (folder / PARAMS_FILE).is_file() and (folder / DVC_FILE).is_file():
            return folder
    raise InputError(
        f"expected params.yaml and dvc.yaml in {start} or above; found neither; run diptych inside a clone of the "
        "project."
    )


@dataclass(frozen=True)
class MatrixPaths:
    """Where the matrices of each producing verb lie; `suffix` is `store.format` of params.yaml."""

    suffix: str
    producer_of: Mapping[str, str]

    def matrix(self, verb: str, name: str) -> Path:
        """Return the matrix that `verb` writes for its entry `name`."""
        return DATA / verb / f"{name}.{self.suffix}"

    def features(self, names: list[str]) -> tuple[Path, ...]:
        """Return the matrices of some feature names, whichever verb writes them."""
        return tuple(self.matrix(self.producer_of[name], name) for name in names)


def card(verb: str, name: str) -> Path:
    """Return the git-tracked JSON that `verb` writes for its entry `name`."""
    return METRICS / verb / f"{name}.json"


def model(verb: str, name: str) -> Path:
    """Return the folder of what `verb` fitted for its entry `name`."""
    return MODELS / verb / name


def fitted(name: str | None) -> Path | None:
    """Return the folder of a fitted encoder by its entry of `fit`; None for an encoder that is never fitted."""
    return None if name is None else model("fit", name)


def is_fitted(name: str | None) -> bool:
    """Tell whether an encoder's weights are there as far as `fit` makes them."""
    return name is None or (model("fit", name) / "artefact.json").is_file()


def wired(verb: str) -> Path:
    """Return the file of input digests of the verb's entries."""
    return DATA / "wire" / f"{verb}.json"
