"""Read truth and predictions and put them in one order; `run` and the threshold take both from here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.contract import Task
from stages.errors import InputError, RunError
from stages.evaluate.metrics import Bools, Floats
from stages.items import Manifest


@dataclass(frozen=True)
class Truth:
    """The labelled rows of the evaluated part; `labels` is bool [n, K], or None for regression."""

    task: Task
    ids: list[str]
    labels: Bools | None
    targets: Floats | None
    counts: dict[str, int]

    @classmethod
    def read(cls, manifest: Manifest, parts: NDArray[np.str_], part: str) -> Self:
        """Read the labelled rows of `part`; `parts` is [N].

        Raises
        ------
        InputError
            When there are none.
        """
        labelled = manifest.labelled()
        rows = np.flatnonzero((parts == part) & labelled)
        if not len(rows):
            raise InputError(f"evaluate: expected labelled {part} rows; found none; check the split and the labels.")
        ids = manifest.ids()
        counts = {"rows": len(rows), "unlabelled": int(((parts == part) & ~labelled).sum())}
        kept = [ids[row] for row in rows]
        if manifest.info.task == "regression":
            return cls(manifest.info.task, kept, None, manifest.targets()[rows], counts)
        labels = manifest.label_matrix()
        # A class that train never shows cannot be learned: its rows stay in the metrics and are counted.
        untrained = ~labels[(parts == "train") & labelled].any(axis=0)
        counts["untrained_classes"] = int((untrained & labels[rows].any(axis=0)).sum())
        counts["untrained_rows"] = int(labels[rows][:, untrained].any(axis=1).sum())
        return cls(manifest.info.task, kept, labels[rows], None, counts)


def read_predictions(path: Path, truth: Truth, part: str) -> tuple[dict[str, Any], dict[int, Floats]]:
    """Return the file's metadata and, per seed, scores [n, K] in the order of the truth.

    Raises
    ------
    RunError
        When a row of the truth has no prediction.
    """
    table = pq.read_table(path, filters=[("part", "==", part)])
    about: dict[str, Any] = json.loads(table.schema.metadata[b"diptych"])
    ids = np.asarray(table.column("id").to_pylist())
    seeds = table.column("seed").to_numpy()
    lists = table.column("scores").combine_chunks()
    flat = np.asarray(lists.flatten(), dtype=np.float64).reshape(len(ids), -1) if len(ids) else np.zeros((0, 0))
    found: dict[int, Floats] = {}
    for seed in dict.fromkeys(seeds.tolist()):
        mine = np.flatnonzero(seeds == seed)
        place = {str(name): row for name, row in zip(ids[mine], mine, strict=True)}
        absent = [name for name in truth.ids if name not in place]
        if absent:
            raise RunError(
                f"{path}: expected a prediction for each of {len(truth.ids)} {part} rows; found none for "
                f"{len(absent)} of them, such as {absent[0]!r}; run `dvc repro` to train the experiment again."
            )
        found[seed] = flat[[place[name] for name in truth.ids]]
    if not found:
        raise RunError(f"{path}: expected predictions for the {part} rows; found none; run `dvc repro`.")
    return about, found
