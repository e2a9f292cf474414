"""The factorising fusions in sizes that train in moments, and inputs that each can read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.models.fusions.factors.cmf import CmfFusion
from stages.models.fusions.factors.mf import MfFusion
from stages.models.fusions.factors.mmeda import Mmeda1Fusion, Mmeda2Fusion

Blocks = dict[str, np.ndarray]

_MMEDA = {"components": 4, "hidden": 6, "batch": 6, "column_batch": 4, "epochs": 4}
TINY: Mapping[str, tuple[type[Any], dict[str, Any]]] = {
    "mf": (MfFusion, {"components": 3, "hidden": 5, "epochs": 4, "lr": 0.01, "batch": 7}),
    "mf-batch": (MfFusion, {"components": 3, "hidden": 5, "epochs": 4, "lr": 0.01, "batch": 7, "step": "batch"}),
    "cmf": (CmfFusion, {"components": 3, "iterations": 4}),
    "mmeda1": (Mmeda1Fusion, _MMEDA),
    "mmeda2": (Mmeda2Fusion, _MMEDA),
}
"""By name: what is fitted, and its options."""


def inputs(name: str, rows: int, seed: int = 0) -> Blocks:
    """Return a text vector of 10 numbers and an image: a vector of 6, or 8 x 8 pixels for what reads pixels."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(rows, 3))
    texts = (hidden @ rng.normal(size=(3, 10)) + 0.1 * rng.normal(size=(rows, 10))).astype(np.float32)
    if not name.startswith("mmeda"):
        return {"t": texts, "v": (hidden @ rng.normal(size=(3, 6))).astype(np.float32)}
    bright = 128 + 40 * hidden[:, :1] + rng.normal(0, 20, (rows, 3 * 8 * 8))
    return {"t": texts, "v": np.clip(np.rint(bright), 0, 255).astype(np.float32)}


def widths(blocks: Blocks) -> tuple[int, ...]:
    return tuple(each.shape[1] for each in blocks.values())


def joined(blocks: Blocks, present: np.ndarray | None = None) -> np.ndarray:
    """Return the blocks and a presence column each."""
    count = len(next(iter(blocks.values())))
    shown = np.ones((count, len(blocks))) if present is None else present
    return np.concatenate([*blocks.values(), shown], axis=1).astype(np.float32)


def build(name: str, layout: Any, **options: Any) -> Any:
    kind, tiny = TINY[name]
    return kind(layout=layout, **{**tiny, **options})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
