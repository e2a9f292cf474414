"""Truth and predictions, read and put in one order; all else in this room starts from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.metrics import Bools, Floats, Scores
from store.errors import InputError, RunError
from store.files.reading import file_digest
from store.items.manifest import Manifest
from store.items.records import Task
from store.results.predictions import read_predictions

_REMEDY = "run `dvc repro` to train the experiment again"


@dataclass(frozen=True)
class Truth:
    """The labelled rows of the evaluated part; `labels` is bool [n, K], or None for regression.

    Attributes
    ----------
    part : str
        Which part it is.
    classes : tuple of str
        The K names; empty for regression.
    everybody : list of str
        The ids of the whole part, unlabelled ones too: those that `train` gave scores.
    ids : list of str, [n]
        Of the labelled rows.
    groups : ndarray of int64, [n]
        The same number for labelled rows of one group.
    rows : ndarray of int64, [n]
        Where they stand in the manifest.
    untrained : ndarray of bool, [n]
        Which bear a class that no train row shows; none for regression.
    manifest : str
        SHA-256 of the manifest's file.
    counts : dict of str to int
        Rows, unlabelled rows, classes that no train row shows, and rows that bear one of those.
    """

    task: Task
    part: str
    classes: tuple[str, ...]
    everybody: list[str]
    ids: list[str]
    groups: NDArray[np.int64]
    labels: Bools | None
    targets: Floats | None
    rows: NDArray[np.int64]
    untrained: Bools
    manifest: str
    counts: dict[str, int]

    @classmethod
    def read(cls, manifest: Manifest, parts: NDArray[np.str_], part: str) -> Self:
        """Read the labelled rows of `part`; `parts` is [N].

        Raises
        ------
        InputError
            When there are none.
        """
        labelled, inside = manifest.labelled(), parts == part
        rows = np.flatnonzero(inside & labelled)
        if not len(rows):
            raise InputError(f"evaluate: expected labelled {part} rows; found none; check the split and the labels.")
        ids = manifest.ids()
        everybody, kept = [ids[row] for row in np.flatnonzero(inside)], [ids[row] for row in rows]
        counts = {"rows": len(rows), "unlabelled": len(everybody) - len(rows)}
        groups = np.unique(np.array(manifest.groups(), dtype=np.str_)[rows], return_inverse=True)[1]
        labels, targets, untrained = None, None, np.zeros(len(rows), dtype=bool)
        if manifest.info.task == "regression":
            targets = manifest.targets()[rows]
        else:
            labels = manifest.label_matrix()
            # A class that train never shows cannot be learned: its rows stay in the metrics and are counted.
            strange = ~labels[(parts == "train") & labelled].any(axis=0)
            labels = labels[rows]
            untrained[:] = labels[:, strange].any(axis=1)
            counts |= {"untrained_classes": int(strange.sum()), "untrained_rows": int(untrained.sum())}
        named = (manifest.info.task, part, manifest.info.classes)
        digest = file_digest(manifest.path)
        return cls(*named, everybody, kept, groups, labels, targets, rows, untrained, digest, counts)

    def at(self, rows: NDArray[np.int64]) -> Self:
        """Return the truth of some of the labelled rows; the counts stay those of the whole part."""
        there = replace(self, rows=self.rows[rows], groups=self.groups[rows], untrained=self.untrained[rows])
        labels = None if self.labels is None else self.labels[rows]
        targets = None if self.targets is None else self.targets[rows]
        return replace(there, ids=[self.ids[row] for row in rows.tolist()], labels=labels, targets=targets)

    @property
    def outputs(self) -> int:
        """How many scores a row has: K, or 1 for regression."""
        return 1 if self.labels is None else len(self.classes)


def scores_of(path: Path, truth: Truth) -> tuple[Mapping[str, Any], dict[int, Scores]]:
    """Return what `train` says about its predictions and, per seed from the smallest on, scores [n, K] of the truth.

    Raises
    ------
    InputError
        When there is no such file, or it holds no predictions.
    RunError
        When the predictions are not those of this part, these classes and this task, or are not finite.
    """
    table = read_predictions(path, truth.part)
    _refuse_other_problem(path, table.about, truth)
    if wrong := table.wrong(truth.outputs):
        raise RunError(f"{path}: {wrong}; {_REMEDY}.")
    place = {name: row for row, name in enumerate(truth.everybody)}
    wanted = [place[name] for name in truth.ids]
    found: dict[int, Scores] = {}
    for seed in sorted(set(table.seeds.tolist())):
        mine = table.of(seed)
        names = mine.ids
        _refuse_other_rows(path, names, truth)
        ordered = np.empty((len(names), truth.outputs), dtype=np.float32)
        ordered[[place[name] for name in names]] = mine.scores(truth.outputs)
        found[seed] = ordered[wanted]
    if not found:
        raise RunError(f"{path}: expected predictions for the {truth.part} rows; found none; {_REMEDY}.")
    return table.about, found


def _refuse_other_problem(path: Path, about: Mapping[str, Any], truth: Truth) -> None:
    if about.get("task") != truth.task:
        raise RunError(
            f"{path}: expected predictions for the task {truth.task}; found the task {about.get('task')}; {_REMEDY}."
        )
    if about.get("classes") != list(truth.classes):
        raise RunError(
            f"{path}: expected scores of the {len(truth.classes)} classes of the manifest in its order; found "
            f"{len(about.get('classes', []))} that differ in name or order; {_REMEDY}."
        )
    if about.get("manifest", truth.manifest) != truth.manifest:  # files of earlier versions do not tell it
        raise RunError(
            f"{path}: expected predictions for the manifest {truth.manifest[:12]}; found those for another, "
            f"{str(about['manifest'])[:12]}; {_REMEDY}."
        )


def _refuse_other_rows(path: Path, names: list[str], truth: Truth) -> None:
    absent, strange = set(truth.everybody) - set(names), set(names) - set(truth.everybody)
    double = {name for name, count in Counter(names).items() if count > 1}
    if absent or strange or double:
        example = min(absent or strange or double)
        raise RunError(
            f"{path}: expected one prediction for each of {len(truth.everybody)} {truth.part} rows; found "
            f"{len(names)}, {len(absent)} rows lacking, {len(strange)} of another part and {len(double)} more than "
            f"once, such as {example!r}; {_REMEDY}."
        )
