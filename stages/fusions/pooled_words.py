"""What `sapool` and `dense` share: a vector made of the words beside the projected picture, and a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stages.fusions.layers import FUSED, Layer
from stages.fusions.layout import Layout, split_parts
from stages.fusions.options_vse import PooledOptions
from stages.fusions.states import words_of
from stages.heads.network import Mlp


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
        text, image = split_parts(x, self.layout)
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
