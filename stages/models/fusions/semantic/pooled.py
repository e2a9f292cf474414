"""The fusions `sapool` and `dense`: pooled words beside the picture; docs/systems/fusions.md#sapool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stages.models.features.layout import FUSED, Layer, Layout, as_layout, split_inputs
from stages.models.fusions.semantic.rows import DenseOptions, PooledOptions, SapoolOptions
from stages.models.fusions.semantic.states import States, split_heads, word_width, words_of
from stages.models.heads.network import Mlp


class PooledFusion(nn.Module):
    """Joined features [n, columns] -> logits [n, K] of `z = [s; e_v]`.

    Parameters
    ----------
    layout : Layout
        Two inputs: the text, read by its tokens, and the picture, by its vector.
    outputs : int
        K.
    pool : torch module
        Words [n, T, D] and e_v [n, d] -> s [n, d]; zeros without words.
    options : PooledOptions
        Sizes.
    """

    def __init__(self, layout: Layout, outputs: int, pool: nn.Module, options: PooledOptions) -> None:
        super().__init__()
        self.layout = layout
        self.visual = nn.Linear(layout[1].width, options.width)
        self.pool = pool
        self.head = Mlp(2 * options.width, outputs, options.hidden, options.dropout)

    def fuse(self, x: Tensor) -> Tensor:
        """Return the fused vectors z [n, 2 d]."""
        return torch.cat(self._beside(x), dim=1)

    def _beside(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and e_v, both [n, d]."""
        text, image = split_inputs(x, self.layout)
        visual = self.visual(image.vector)
        return self.pool(words_of(text), visual), visual

    def inner_vectors(self, x: Tensor) -> dict[Layer, Tensor]:
        """Return s and e_v, and z."""
        pooled, visual = self._beside(x)
        return {Layer("tuned", 0): pooled, Layer("tuned", 1): visual, FUSED: torch.cat([pooled, visual], dim=1)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [n, K]."""
        logits: Tensor = self.head(self.fuse(x))
        return logits


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


class MeanPool(nn.Module):
    """Words -> the mean of g(word) over the valid ones, zeros without words; the picture has no say.

    Parameters
    ----------
    project : torch module
        g, of words [n, T, D] to [n, T, d].
    """

    def __init__(self, project: nn.Module) -> None:
        super().__init__()
        self.project = project

    def forward(self, words: States, visual: Tensor) -> Tensor:  # noqa: ARG002 (as every pooling is called)
        """Return s [n, d]."""
        projected: Tensor = self.project(words.values).masked_fill(~words.mask[:, :, None], 0.0)
        return projected.sum(dim=1) / words.lengths.clamp(min=1)[:, None]


class DenseFusion(PooledFusion):
    """Joined features [n, columns] -> logits [n, K].

    Parameters
    ----------
    layout : Layout or sequence
        Two inputs: the text, read by its tokens, and the picture, by its vector.
    outputs : int
        K.
    **options
        The fields of `DenseOptions` that `NetworkOptions` lacks.
    """

    def __init__(self, layout: Sequence[Any], outputs: int, **options: Any) -> None:
        inputs, chosen = as_layout(layout), DenseOptions(**options)
        pool = MeanPool(Mlp(word_width(inputs[0]), chosen.width, (chosen.words_width,), chosen.dropout))
        super().__init__(inputs, outputs, pool, chosen)
