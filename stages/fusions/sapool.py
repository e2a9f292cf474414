"""The `sapool` fusion: words weighted by what the picture asks for; docs/systems/fusions.md#sapool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stages.fusions.layout import as_layout
from stages.fusions.options_vse import SapoolOptions
from stages.fusions.pooled_words import PooledFusion
from stages.fusions.states import States, split_heads, word_width


def _further(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width))


class AttentionPool(nn.Module):
    """Words and a picture -> s: one cross-attention whose query is the picture, then a residual feed-forward.

    Parameters
    ----------
    inputs : int
        Width of a word.
    width : int
        d, of the picture and of s.
    heads : int
        They share d.
    feed_forward : int
        Width of the hidden layer in multiples of d; 0 leaves it out.
    """

    def __init__(self, inputs: int, width: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)  # W_q
        self.key, self.value = (nn.Linear(inputs, width, bias=False) for _ in range(2))  # W_k, W_x
        self.further = _further(width, feed_forward * width) if feed_forward else None

    def weights(self, words: States, visual: Tensor) -> Tensor:
        """Return how much each word counts, [n, heads, T]: rows sum to 1, to 0 without words."""
        query = split_heads(self.query(visual)[:, None, :], self.heads)
        key = split_heads(self.key(words.values), self.heads)
        scores = (query @ key.transpose(2, 3))[:, :, 0] / math.sqrt(query.shape[3])
        valid = words.mask[:, None, :]
        known = valid | ~valid.any(dim=2, keepdim=True)
        return scores.masked_fill(~known, float("-inf")).softmax(dim=2).masked_fill(~valid, 0.0)

    def forward(self, words: States, visual: Tensor) -> Tensor:
        """Return s [n, d]; zeros without words."""
        values = split_heads(self.value(words.values), self.heads)
        pooled = torch.einsum("nht,nhtd->nhd", self.weights(words, visual), values).flatten(1)
        if self.further is None:
            return pooled
        changed: Tensor = pooled + self.further(pooled)
        return changed.masked_fill(words.lengths[:, None] == 0, 0.0)


class SapoolFusion(PooledFusion):
    """Joined features [n, columns] -> logits [n, K].

    Parameters
    ----------
    layout : Layout or sequence
        Two inputs: the text, read by its tokens, and the picture, by its vector.
    outputs : int
        K.
    **options
        The fields of `SapoolOptions` that `NetworkOptions` lacks.
    """

    def __init__(self, layout: Sequence[Any], outputs: int, **options: Any) -> None:
        inputs, chosen = as_layout(layout), SapoolOptions(**options)
        pool = AttentionPool(word_width(inputs[0]), chosen.width, chosen.heads, chosen.feed_forward)
        super().__init__(inputs, outputs, pool, chosen)
