"""The `attention` fusion: one hidden layer per modality, weights from their similarity, three more layers; 4.4."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stages.fusions.blocks import split_blocks
from stages.heads.network import Mlp


def attention_weights(queries: Tensor, keys: Tensor, present: Tensor) -> Tensor:
    """Return how much each modality counts, systems.md 4.4.

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
    """Joined features [n, sum + M] -> logits [n, K].

    Parameters
    ----------
    widths : sequence of int
        Widths D_m of the modalities.
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
        widths: Sequence[int],
        outputs: int,
        width: int,
        hidden: Sequence[int],
        dropout: float,
        *,
        qk: bool,
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.enter = nn.ModuleList(nn.Sequential(nn.Linear(each, width), nn.ReLU()) for each in widths)
        self.query = nn.Linear(width, width, bias=False) if qk else nn.Identity()
        self.key = nn.Linear(width, width, bias=False) if qk else nn.Identity()
        self.head = Mlp(width, outputs, hidden, dropout)

    def fuse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the fused vectors [n, d] and the weights [n, M]."""
        blocks, present = split_blocks(x, self.widths)
        states = torch.stack([layer(block) for layer, block in zip(self.enter, blocks, strict=True)], dim=1)
        weights = attention_weights(self.query(states), self.key(states), present)
        return (weights[:, :, None] * states).sum(dim=1), weights

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [n, K]."""
        logits: Tensor = self.head(self.fuse(x)[0])
        return logits
