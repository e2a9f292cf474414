"""The `coot` fusion: a joint vector that looks at the picture again and again; docs/systems/fusions.md#coot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stages.models.features.layout import Input
from stages.models.fusions.semantic.cim import IntraAttention, attention_of
from stages.models.fusions.semantic.rows import CootOptions
from stages.models.fusions.semantic.states import States, regions_of
from stages.models.fusions.semantic.vse import Embedded, VseFusion
from store.items.records import Task


class Iterations(nn.Module):
    """m [n, joint width] -> m after P looks at the picture, all through the same attention.

    Parameters
    ----------
    attend : IntraAttention
        Conditioned by W_c m at each look.
    options : CootOptions
    """

    def __init__(self, attend: IntraAttention, options: CootOptions) -> None:
        super().__init__()
        joint, width = options.joint_width, options.width
        self.attend, self.count, self.score_width = attend, options.iterations, options.score_width
        self.condition = nn.Linear(joint, width, bias=False)  # W_c
        self.target = nn.Linear(joint, options.score_width, bias=False)  # W_t
        self.source = nn.Linear(width, options.score_width, bias=False)  # W_u
        # W_h is the first layer of the MLP [ours]: a linear map before a linear map adds nothing.
        self.concept = nn.Sequential(nn.Linear(width, joint), nn.ReLU(), nn.Linear(joint, joint))
        self.norm = nn.LayerNorm(joint)

    def forward(self, joint: Tensor, image: Input, words: States) -> Tensor:
        """Return m^P [n, joint width]."""
        regions, places = regions_of(image)
        looks: list[Tensor] = []
        for _ in range(self.count):
            looks.append(self.attend(regions, places, words, self.condition(joint)).summary)
            enhanced = self.enhanced(joint, torch.stack(looks, dim=1))
            joint = self.norm(joint + self.concept(enhanced))
        return joint

    def scores(self, joint: Tensor, looks: Tensor) -> Tensor:
        """Return a [n, k] in (0, 1): how well each of k looks [n, k, d] answers m [n, joint width]."""
        target, source = self.target(joint), self.source(looks)
        return torch.einsum("nd,nkd->nk", target, source).div(math.sqrt(self.score_width)).sigmoid()

    def enhanced(self, joint: Tensor, looks: Tensor) -> Tensor:
        """Return e [n, d], the looks summed by their scores."""
        return torch.einsum("nk,nkd->nd", self.scores(joint, looks), looks)


class CootFusion(VseFusion):
    """Joined features [n, columns] -> logits [n, K]; the picture is read by its vector, and by its map or regions.

    Parameters
    ----------
    layout, outputs, task
        As for `vse`.
    **options
        The fields of `CootOptions` that `NetworkOptions` lacks.
    """

    options: CootOptions
    options_type = CootOptions

    def __init__(self, layout: Sequence[Any], outputs: int, task: Task, **options: Any) -> None:
        super().__init__(layout, outputs, task, **options)
        self.iterations: Iterations | None = None
        if self.options.iterations:
            text, image = self.layout
            self.iterations = Iterations(attention_of(text, image, self.options), self.options)

    def fused(self, pairs: Embedded, words: States, image: Input) -> Tensor:
        """Return m^P [n, joint width]."""
        joint = pairs.joint
        return joint if self.iterations is None else self.iterations(joint, image, words)
