"""The `cim` fusion: `vse` whose picture is looked at with the words in mind; docs/systems/fusions.md#cim."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stages.models.features.layout import Block, Input
from stages.models.fusions.semantic.rows import CimOptions
from stages.models.fusions.semantic.states import States, region_width, regions_of, split_heads, word_width
from stages.models.fusions.semantic.vse import VisualSemantic, VseFusion
from stages.models.heads.network import Mlp


class Attended(NamedTuple):
    """What the attention gives for n rows of R regions and T words.

    Attributes
    ----------
    summary : Tensor, [n, d]
        u, the weighted sum of the attended regions.
    gates : Tensor, [n, R]
        w; they sum to 1, and a region that is not valid weighs 0.
    attention : Tensor, [n, heads, R + T, R + T]
        Rows sum to 1.
    """

    summary: Tensor
    gates: Tensor
    attention: Tensor


def waves(places: Tensor, width: int) -> Tensor:
    """Return the sinusoidal encoding [n, width] of numbers [n] (Vaswani et al. 2017, arXiv 1706.03762, 3.5)."""
    steps = torch.arange(0, width, 2, device=places.device)
    angles = places[:, None] * torch.exp(-math.log(10000.0) * steps / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


class IntraAttention(nn.Module):
    """Regions and words -> a summary of the picture.

    Parameters
    ----------
    seen, read : int
        Widths of a region and of a word.
    width : int
        d.
    heads : int
        They share d.
    """

    def __init__(self, seen: int, read: int, width: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.see, self.read = nn.Linear(seen, width, bias=False), nn.Linear(read, width, bias=False)
        self.kinds = nn.Parameter(torch.randn(2, width) * 0.02)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out, self.norm = nn.Linear(width, width), nn.LayerNorm(width)

    def forward(self, regions: States, places: Tensor, words: States, shift: Tensor | None = None) -> Attended:
        """Attend.

        Parameters
        ----------
        regions, words : States
            [n, R, seen] and [n, T, read]; each row has at least one region.
        places : Tensor, [R, 2]
            Row and column of each region.
        shift : Tensor, [n, d], optional
            Added to every region.
        """
        x = torch.cat([self.enter_regions(regions, places, shift), self.enter_words(words)], dim=1)
        attention = self._attention(x, torch.cat([regions.mask, words.mask], dim=1))
        mixed = attention @ split_heads(self.value(x), self.heads)
        attended = self.norm(x + self.out(mixed.transpose(1, 2).flatten(2)))
        count = regions.mask.shape[1]
        gates = region_gates(attention[:, :, count:, :count], regions.mask, words.mask)
        return Attended((gates[:, :, None] * attended[:, :count]).sum(dim=1), gates, attention)

    def enter_regions(self, regions: States, places: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return the rows of X [n, R, d] that stand for regions."""
        half = self.width // 2
        grid = torch.cat([waves(places[:, 0], half), waves(places[:, 1], self.width - half)], dim=1)
        seen: Tensor = self.see(regions.values) + grid + self.kinds[0]
        return seen if shift is None else seen + shift[:, None, :]

    def enter_words(self, words: States) -> Tensor:
        """Return the rows of X [n, T, d] that stand for words."""
        order = torch.arange(words.mask.shape[1], device=words.mask.device)
        read: Tensor = self.read(words.values) + waves(order, self.width) + self.kinds[1]
        return read

    def _attention(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key = split_heads(self.query(x), self.heads), split_heads(self.key(x), self.heads)
        scores = query @ key.transpose(2, 3) / math.sqrt(self.width // self.heads)
        return scores.masked_fill(~mask[:, None, None, :], float("-inf")).softmax(dim=3)


def region_gates(attention: Tensor, regions: Tensor, words: Tensor) -> Tensor:
    """Return how much each region counts, [n, R]: a softmax of the mean attention that valid words pay it.

    Parameters
    ----------
    attention : Tensor, [n, heads, T, R]
        Of words to regions.
    regions, words : Tensor of bool, [n, R] and [n, T]
        Which are valid. Without a valid word all valid regions weigh the same.
    """
    counted = words[:, :, None].to(attention.dtype)
    paid = (attention.mean(dim=1) * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
    return paid.masked_fill(~regions, float("-inf")).softmax(dim=1)


def attention_of(text: Block, image: Block, options: CimOptions) -> IntraAttention:
    """Return the attention over the regions and words of these inputs."""
    return IntraAttention(region_width(image), word_width(text), options.width, options.heads)


class AttentiveSemantic(VisualSemantic):
    """Embeds a text by its words, and a picture by an attention between its regions and those words."""

    def __init__(self, text: Block, image: Block, options: CimOptions) -> None:
        behind = Mlp(options.width, options.width, (options.width,), options.dropout)  # ReLU between [ours]
        super().__init__(text, behind, options)
        self.attend = attention_of(text, image, options)

    def see(self, words: States, image: Input) -> Tensor:
        """Return e_v [n, d]."""
        visual: Tensor = self.visual(self.attend(*regions_of(image), words).summary)
        return visual


class CimFusion(VseFusion):
    """Joined features [n, columns] -> logits [n, K]; the picture is read by its map or regions.

    Parameters
    ----------
    layout, outputs, task
        As for `vse`.
    **options
        The fields of `CimOptions` that `NetworkOptions` lacks.
    """

    options: CimOptions
    options_type = CimOptions

    def body(self, text: Block, image: Block) -> VisualSemantic:
        """Return what embeds the pairs."""
        return AttentiveSemantic(text, image, self.options)
