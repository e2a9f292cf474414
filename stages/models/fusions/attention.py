"""The `attention` fusion: one hidden layer per modality, weighted by similarity; docs/systems/fusions.md#attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stages.models.features.layout import FUSED, Layer, as_layout, split_inputs
from stages.models.heads.network import Mlp


def attention_weights(queries: Tensor, keys: Tensor, present: Tensor) -> Tensor:
    """Return how much each modality counts, docs/systems/fusions.md#attention.

    Parameters
    ----------
    queries, keys : Tensor, [n, M, d]
        Hidden vectors H (or H W_q and H W_k).
    present : Tensor, [n, M]
        1 where the row has the modality, else 0.

    Returns
    -------
    Tensor, [n, M]
        Rows sum to 1; an absent modality weighs 0. A row without any modality is read as if it had them all.
    """
    known = present > 0
    known = known | ~known.any(dim=1, keepdim=True)
    similarity = queries @ keys.transpose(1, 2) / queries.shape[2] ** 0.5  # [n, M, M]
    rows = similarity.masked_fill(~known[:, None, :], float("-inf")).softmax(dim=2)
    counted = known.to(rows.dtype)
    weights: Tensor = (rows * counted[:, :, None]).sum(dim=1) / counted.sum(dim=1, keepdim=True)
    return weights


class AttentionFusion(nn.Module):
    """Joined features [n, columns] -> logits [n, K].

    Parameters
    ----------
    layout : Layout or sequence of int
        The M modalities.
    outputs : int
        K.
    width : int
        Hidden width d of each modality.
    hidden : sequence of int
        Hidden layers after the weighted sum.
    dropout : float
        After every hidden layer.
    qk : bool
        Whether similarities are taken between learned projections of the hidden vectors.
    """

    def __init__(
        self,
        layout: Sequence[Any],
        outputs: int,
        width: int,
        hidden: Sequence[int],
        dropout: float,
        *,
        qk: bool,
    ) -> None:
        super().__init__()
        self.layout = as_layout(layout)
        self.enter = nn.ModuleList(nn.Sequential(nn.Linear(each.width, width), nn.ReLU()) for each in self.layout)
        self.query = nn.Linear(width, width, bias=False) if qk else nn.Identity()
        self.key = nn.Linear(width, width, bias=False) if qk else nn.Identity()
        self.head = Mlp(width, outputs, hidden, dropout)

    def fuse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fused vectors [n, d] and the weights [n, M]."""
        states, weights = self._weighed(x)
        return (weights[:, :, None] * states).sum(dim=1), weights

    def _weighed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden vectors [n, M, d] and their weights [n, M]."""
        parts = split_inputs(x, self.layout)
        states = torch.stack([layer(part.vector) for layer, part in zip(self.enter, parts, strict=True)], dim=1)
        present = torch.stack([part.present for part in parts], dim=1)
        return states, attention_weights(self.query(states), self.key(states), present)

    def input_weights(self, x: Tensor) -> Tensor:
        """Return how much each modality counts, [n, M], rows sum to 1; docs/systems/fusions.md#attention."""
        return self._weighed(x)[1]

    def inner_vectors(self, x: Tensor) -> dict[Layer, Tensor]:
        """Return the hidden vectors [n, d] of each modality, and their weighted sum [n, d]."""
        states, weights = self._weighed(x)
        tuned = {Layer("tuned", number): states[:, number] for number in range(len(self.layout))}
        return {**tuned, FUSED: (weights[:, :, None] * states).sum(dim=1)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [n, K]."""
        logits: Tensor = self.head(self.fuse(x)[0])
        return logits
