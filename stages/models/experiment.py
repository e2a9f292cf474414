"""One experiment on disk: the rows that `train` fits its models on, and its models again for who scores with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.models.features.layout import Layout
from stages.models.features.opening import open_aligned
from stages.models.features.table import FeatureTable, layout_of
from stages.models.fusions.catalog import FUSIONS, ModelSpec, option_keys
from stages.models.fusions.model import FusedModel
from stages.models.heads.model import LabelledRows, Problem
from store import Matrix
from store.errors import InputError, RunError
from store.items.manifest import Manifest
from store.items.records import Task
from store.items.split import read_split

RECIPE = "recipe.json"


@dataclass(frozen=True)
class Data:
    """One experiment's data; features stay in the memory-mapped matrices until rows are asked for.

    Attributes
    ----------
    targets : ndarray
        multilabel: float32 [N, K]; multiclass: int64 [N]; regression: float32 [N, 1].
    parts : ndarray of str, [N]
    labelled : ndarray of bool, [N]
    """

    ids: list[str]
    task: Task
    classes: tuple[str, ...]
    matrices: Sequence[Matrix]
    layout: Layout
    targets: NDArray[Any]
    parts: NDArray[np.str_]
    labelled: NDArray[np.bool_]

    @property
    def outputs(self) -> int:
        """Number of scores per row: K classes, or 1."""
        return 1 if self.task == "regression" else len(self.classes)

    def rows(self, part: str) -> LabelledRows:
        """Return the labelled rows of a part: joined features [n, columns], read when asked for, and targets."""
        rows = np.flatnonzero((self.parts == part) & self.labelled)
        return LabelledRows(self.features(rows), self.targets[rows])

    def features(self, rows: NDArray[np.int64]) -> FeatureTable:
        """Return the joined features of manifest rows."""
        return FeatureTable(self.matrices, rows, self.layout)


@dataclass(frozen=True)
class Trained:
    """What `train` wrote of its models into `recipe.json`, beside a folder for each seed.

    Attributes
    ----------
    features : tuple of str
        The names of the matrices, in order.
    layout : list
        Each input as `Block.as_json` gives it.
    """

    features: tuple[str, ...]
    recipe: ModelSpec
    seeds: tuple[int, ...]
    layout: list[Any]


@dataclass(frozen=True)
class ExperimentInputs:
    """What an experiment reads: the matrices in the order of its features, and the digests that their cards state."""

    manifest: Path
    split: Path
    matrices: tuple[Path, ...]
    digests: tuple[str, ...] = ()


def read_data(inputs: ExperimentInputs, fusion: str) -> Data:
    """Read everything but the features; the fusion decides which arrays beside the vectors are read.

    Raises
    ------
    InputError
        When files do not belong together, or no train row is labelled.
    """
    manifest = Manifest.open(inputs.manifest)
    ids, task = manifest.ids(), manifest.info.task
    parts, labelled = read_split(inputs.split, ids), manifest.labelled()
    if not np.any((parts == "train") & labelled):
        raise InputError(
            f"train: expected labelled train rows in {inputs.manifest}; found none; check the label column."
        )
    matrices = open_aligned(inputs.matrices, ids, inputs.digests)
    layout = layout_of(matrices, FUSIONS[fusion].needs, fusion)
    return Data(ids, task, manifest.info.classes, matrices, layout, manifest.fit_targets(), parts, labelled)


def read_trained(folder: Path) -> Trained:
    """Read what the models in `models/train/<name>` are made of.

    Raises
    ------
    InputError
        When there is no trained model.
    RunError
        When what lies there is not what `train` writes.
    """
    path = folder / RECIPE
    try:
        content = json.loads(path.read_text("utf-8"))
        fusion, head = content["fusion"], content["head"]
        options = [each.options(**each.chosen(content["options"])) for each in option_keys(fusion, head)]
        recipe = ModelSpec(fusion, head, content["scale"], options[0], options[1] if len(options) > 1 else None)
        return Trained(tuple(content["features"]), recipe, tuple(content["seeds"]), content["layout"])
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"expected a trained model at {path}; found no file; run `dvc repro` (or `dvc pull`) first."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: expected the recipe of a trained model; found {error!r}; train it again.") from error


def restore(recipe: ModelSpec, data: Data, seed: int, folder: Path, device: str) -> FusedModel:
    """Load the model of one seed from `models/train/<name>`.

    Raises
    ------
    InputError
        When there is none.
    """
    place = folder / f"seed-{seed}"
    if not place.is_dir():
        raise InputError(f"expected a trained model at {place}; found none; run `dvc repro` (or `dvc pull`) first.")
    return FusedModel(data.layout, recipe, Problem(data.task, data.outputs, seed, device)).restore(place)
