"""The `dpm` fusion: a trained `vse` and the vector of a pair encoder together; docs/systems/fusions.md#dpm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from stages.models.features.layout import FUSED, Layer, Layout, as_layout, split_inputs
from stages.models.features.table import MappedTable
from stages.models.fusions.semantic.base import VseOptions, build_vse
from stages.models.fusions.semantic.rows import DpmOptions
from stages.models.fusions.semantic.states import words_of
from stages.models.fusions.semantic.vse import VisualSemantic
from stages.models.heads.model import Array, LabelledRows, Problem, Scores
from stages.models.heads.network import Mlp, NetworkModel
from stages.models.training.epochs import UNWATCHED, Epoch, Watch
from stages.models.training.state import Arrays

_PAIR = 1  # the position of the pair's vector among words, pair, picture


class DpmFusion(nn.Module):
    """Joined features [n, columns] -> logits [n, K] of `z = [m; b]`.

    Parameters
    ----------
    layout : Layout or sequence
        Three inputs: the text, read by its tokens, the pair's vector b, and the picture.
    outputs : int
        K.
    hidden : sequence of int
    dropout : float
    vse : mapping
        The fields of `VseOptions` that `NetworkOptions` lacks.
    """

    lr_factors: Mapping[str, float] = {"vse.*": 0.1}

    def __init__(
        self, layout: Sequence[Any], outputs: int, hidden: Sequence[int], dropout: float, vse: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.layout, options = as_layout(layout), VseOptions(**vse)
        text, pair, image = self.layout
        self.vse = VisualSemantic(text, nn.Linear(image.width, options.width), options)
        self.head = Mlp(options.joint_width + pair.width, outputs, hidden, dropout)

    def fuse(self, x: Tensor) -> Tensor:
        """Return the fused vectors z [n, joint width + pair width]."""
        text, pair, image = split_inputs(x, self.layout)
        return torch.cat([self.vse(words_of(text), image).joint, pair.vector], dim=1)

    def inner_vectors(self, x: Tensor) -> dict[Layer, Tensor]:
        """Return e_s and e_v [n, d] of the `vse`, and z; the pair's vector goes into z as it is."""
        text, pair, image = split_inputs(x, self.layout)
        pairs = self.vse(words_of(text), image)
        tuned = {Layer("tuned", 0): pairs.semantic, Layer("tuned", 2): pairs.visual}
        return {**tuned, FUSED: torch.cat([pairs.joint, pair.vector], dim=1)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [n, K]."""
        logits: Tensor = self.head(self.fuse(x))
        return logits


class DpmModel:
    """Trains a `vse` on the texts and pictures, and then both its layers and the classifier behind it and the pairs.

    Parameters
    ----------
    layout : Layout
        Text, pair and picture.
    options : DpmOptions
    problem : Problem
    """

    def __init__(self, layout: Layout, options: DpmOptions, problem: Problem) -> None:
        self.layout, self.options, self.problem = layout, options, problem
        base = build_vse(_without_pair(layout), options.vse, problem)
        own = {name: base.arguments[name] for name in base.arguments if name in VseOptions.model_fields}
        sizes = {"hidden": options.hidden, "dropout": options.dropout, "vse": own}
        blocks = [block.as_json() for block in layout]
        arguments = {"layout": blocks, "outputs": problem.outputs, **sizes}
        self.base, self.joint = base, NetworkModel(DpmFusion, arguments, options, problem)

    @property
    def history(self) -> Sequence[Epoch]:
        """The learning curve of the second training."""
        return self.joint.history

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:
        """Train the base on `train`, then all; both stop early on `dev` when it has rows."""
        columns = _columns_without_pair(self.layout)
        without = [
            LabelledRows(MappedTable(each.x, lambda x: x[:, columns], len(columns)), each.y) for each in (train, dev)
        ]
        self.base.fit(without[0], without[1], watch.part("vse"))
        self.joint.start = self._learned()
        self.joint.fit(train, dev, watch.part("joint"))
        return self

    def _learned(self) -> Arrays:
        """Return the base's weights but those of its own classifiers."""
        weights = self.base.fitted_.state_dict()
        return {name: value.cpu().numpy() for name, value in weights.items() if name.startswith("vse.")}

    def scores(self, x: Array) -> Scores:
        """Return probabilities [n, K] or values [n, 1]."""
        return self.joint.scores(x)

    def input_weights(self, x: Array) -> Array | None:
        """Return those of the second network."""
        return self.joint.input_weights(x)

    def inner_vectors(self, x: Array) -> Mapping[Any, Array]:
        """Return those of the second network."""
        return self.joint.inner_vectors(x)

    def save(self, folder: Path) -> None:
        """Write the network of the second training, which holds what the first has learned."""
        self.joint.save(folder)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        self.joint.restore(folder)
        return self


def _without_pair(layout: Layout) -> Layout:
    return tuple(block for number, block in enumerate(layout) if number != _PAIR)


def _columns_without_pair(layout: Layout) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the columns of the text and the picture, and of their presence."""
    kept = [np.full(block.columns, number != _PAIR) for number, block in enumerate(layout)]
    return np.flatnonzero(np.concatenate([*kept, np.arange(len(layout)) != _PAIR]))
