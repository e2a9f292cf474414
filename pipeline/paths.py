"""Where every file of a project lies, and of which project a copy made by `dvc exp run` is one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from store.errors import InputError

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


_COPIES = Path(".dvc/tmp/exps")


def original_of(root: Path, environment: Mapping[str, str]) -> Path | None:
    """Return the project of which DVC made a copy for one experiment; None where `root` is no such copy.

    A copy holds what git tracks and DVC checks out, in a repository of its own that knows nothing of the first one. It
    lies below .dvc/tmp/exps, and DVC names the first project in DVC_ROOT, which tells where that folder is a link.

    Parameters
    ----------
    root : Path
        The root of a project.
    environment : mapping of str to str
        Of this process.
    """
    root = root.resolve()
    copy = next((each for each in (root, *root.parents) if (each / ".dvc").is_dir()), None)
    if copy is None:
        return None
    homes = [each.parents[2] for each in copy.parents if each.parts[-3:] == _COPIES.parts]
    homes += [Path(environment["DVC_ROOT"])] if environment.get("DVC_ROOT") else []
    for home in homes:
        if copy.is_relative_to((home / _COPIES).resolve()):
            return home / root.relative_to(copy)
    return None


def told_of_copy(root: Path, environment: Mapping[str, str]) -> str:
    """Say what a run in a copy lacks and how to give it that; "" in a project itself."""
    home = original_of(root, environment)
    if home is None:
        return ""
    return (
        f"this run stands in a copy of {home} without the files that git and DVC do not know, where relative paths "
        "lead elsewhere: use absolute paths, `dvc add`, `dvc exp run --copy-paths`, or neither --temp nor --queue"
    )


def out_of_reach(path: str, root: Path) -> bool:
    """Tell whether a path of params.yaml leads out of the project: in a copy it leads elsewhere, to nothing."""
    inside = Path(os.path.normpath(root / path)).is_relative_to(root)
    return not Path(path).is_absolute() and not inside
