"""The `dense` fusion: the mean of densely projected words beside the picture; docs/systems/fusions.md#dense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from stages.fusions.layout import as_layout
from stages.fusions.options_vse import DenseOptions
from stages.fusions.pooled_words import PooledFusion
from stages.fusions.states import States, word_width
from stages.heads.network import Mlp


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
