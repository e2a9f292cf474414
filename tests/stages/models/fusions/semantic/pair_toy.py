"""Toy pairs whose labels need both: word states [T, 6] of differing lengths and a picture's vector, map or regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.models.features.layout import Block, Layout
from stages.models.fusions.semantic.rows import SEMANTIC_ROWS
from stages.models.heads.model import LabelledRows, Problem
from store.items.records import Task

WORDS, SEEN, LONGEST, PLACES = 6, 5, 4, 6
FUSIONS = {row.name: row for row in SEMANTIC_ROWS}
TASKS: tuple[Task, ...] = ("multiclass", "multilabel", "regression")
OUTPUTS = {"multiclass": 3, "multilabel": 3, "regression": 1}


class Toy:
    """Texts, pictures, presence and targets of n rows; `joined` gives what a fusion reads."""

    def __init__(self, task: Task, count: int = 160, seed: int = 7, longest: int = LONGEST) -> None:
        rng = np.random.default_rng(seed)
        self.task, self.outputs, self.longest = task, OUTPUTS[task], longest
        self.tokens = rng.normal(0, 0.3, (count, longest, WORDS)).astype(np.float32)
        self.lengths = rng.integers(1, LONGEST + 1, count)
        self.map = rng.normal(0, 0.3, (count, SEEN, 2, 3)).astype(np.float32)
        text, image = rng.normal(size=(count, 3)), rng.normal(size=(count, 3))
        self.tokens[:, :, :3] += text[:, None]
        self.map[:, :3] += image[:, :, None, None]
        self.present = np.ones((count, 3), dtype=np.float32)
        self.pair = np.concatenate([text, image], axis=1).astype(np.float32)
        signal = np.stack([text[:, 0] + image[:, 0], text[:, 1] - image[:, 1], image[:, 2] - text[:, 2]], axis=1)
        if task == "multilabel":
            self.y: Any = (signal > 0).astype(np.float32)
        else:
            self.y = signal.argmax(axis=1) if task == "multiclass" else signal[:, :1].astype(np.float32)

    @property
    def mask(self) -> np.ndarray:
        return np.arange(self.longest) < (self.lengths * (self.present[:, 0] > 0))[:, None]

    def layout(self, image: str, *, pair: bool = False) -> Layout:
        text = Block(2, {"tokens": (self.longest, WORDS), "token_mask": (self.longest,)})
        shapes: dict[str, tuple[int, ...]] = {}
        if image == "map":
            shapes = {"map": (SEEN, 2, 3)}
        elif image == "regions":
            shapes = {"regions": (PLACES, SEEN), "region_mask": (PLACES,)}
        return (text, *([Block(6)] if pair else []), Block(SEEN, shapes))

    def joined(self, image: str, *, pair: bool = False) -> np.ndarray:
        """Rows [n, columns]; the text's vector is noise that no fusion reads."""
        count, places = len(self.map), self.map.reshape(len(self.map), SEEN, PLACES)
        vector = np.random.default_rng(0).normal(size=(count, 2))
        arrays = {"vector": [], "map": [places], "regions": [places.transpose(0, 2, 1), np.ones((count, PLACES))]}[
            image
        ]
        shown = [each * self.present[:, 2].reshape(-1, *[1] * (each.ndim - 1)) for each in (places.mean(2), *arrays)]
        between = [self.pair * self.present[:, 1:2]] if pair else []
        parts = [vector, self.tokens, self.mask, *between, *shown, self.present[:, [0, 1, 2] if pair else [0, 2]]]
        return np.concatenate([each.reshape(count, -1) for each in parts], axis=1).astype(np.float32)

    @property
    def problem(self) -> Problem:
        return Problem(self.task, self.outputs, 0)


def rows_of(x: np.ndarray, toy: Toy, start: int, stop: int) -> LabelledRows:
    return LabelledRows(x[start:stop], toy.y[start:stop])


def module(name: str, toy: Toy, image: str, **options: Any) -> Any:
    """Build the untrained network of a fusion, seeded, as `train` would."""
    torch.manual_seed(0)
    row = FUSIONS[name]
    model: Any = row.build(toy.layout(image, pair=name == "dpm"), row.options(**options), toy.problem)
    model = model.joint if name == "dpm" else model
    return model.module(**model.arguments)


def tensor(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x)
