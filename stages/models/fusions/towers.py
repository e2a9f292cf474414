"""The `towers` fusion: a tuning layer on each text, the picture as it is; docs/systems/fusions.md#towers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stages.models.features.layout import FUSED, Layer, as_layout, split_inputs
from stages.models.heads.network import Mlp


class TowersFusion(nn.Module):
    """Joined features [n, columns] -> logits [n, K].

    Each text x has a layer of its own, g(x) = ReLU(W Dropout(x) + b). The concatenation z = [g(x_1); ...; v] keeps the
    order of the inputs, the picture v being the last; then dropout, or hidden layers, and a linear layer. A missing
    input counts with the vector that stands in for it (docs/systems/encoders.md#missing-vectors).

    Parameters
    ----------
    layout : Layout or sequence of int
        The texts, and the picture as the last.
    outputs : int
        K.
    width : int
        Of each text's tuning layer.
    image_dnn : int
        Width of a tuning layer on the picture; 0 for none, as published.
    after : sequence of int
        Hidden layers between z and the logits.
    dropout : float
        On the texts, and on z when no layer follows it.
    after_dropout : float
        After each layer of `after`.

    Source: paper 1, docs/systems/fusions.md#towers.
    """

    def __init__(  # noqa: PLR0913 (a module takes each of its options by name)
        self,
        layout: Sequence[Any],
        outputs: int,
        *,
        width: int,
        image_dnn: int,
        after: Sequence[int],
        dropout: float,
        after_dropout: float,
    ) -> None:
        super().__init__()
        self.layout = as_layout(layout)
        *texts, image = (block.width for block in self.layout)
        towers: list[nn.Module] = [_tower(each, width, dropout) for each in texts]
        towers.append(_tower(image, image_dnn, dropout) if image_dnn else nn.Identity())
        self.towers = nn.ModuleList(towers)
        self.width = width * len(texts) + (image_dnn or image)
        self.head = Mlp(self.width, outputs, after, after_dropout if after else dropout)

    def tuned(self, x: Tensor) -> list[Tensor]:
        """Return what each tower gives: [n, width] for a text, [n, D] for a picture without a layer."""
        parts = split_inputs(x, self.layout)
        return [tower(part.vector) for tower, part in zip(self.towers, parts, strict=True)]

    def fuse(self, x: Tensor) -> Tensor:
        """Return the concatenation layer z [n, sum of the towers' widths]."""
        return torch.cat(self.tuned(x), dim=1)

    def inner_vectors(self, x: Tensor) -> dict[Layer, Tensor]:
        """Return what each tuning layer gives, [n, width], and z; a picture without such a layer has none to show."""
        given = self.tuned(x)
        layered = [number for number, tower in enumerate(self.towers) if not isinstance(tower, nn.Identity)]
        return {**{Layer("tuned", number): given[number] for number in layered}, FUSED: torch.cat(given, dim=1)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [n, K]."""
        logits: Tensor = self.head(self.fuse(x))
        return logits


def _tower(inputs: int, width: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, width), nn.ReLU())
