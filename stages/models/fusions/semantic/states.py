"""The valid states of an input, tokens or regions, cut to what the batch needs; fusions that attend read them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stages.models.features.layout import Block, Input


class States(NamedTuple):
    """States of n rows; `trimmed` puts the valid ones of each row first.

    Attributes
    ----------
    values : Tensor, [n, L, D]
        Zeros where a state is not valid, whatever stood there.
    mask : Tensor of bool, [n, L]
    """

    values: Tensor
    mask: Tensor

    @property
    def lengths(self) -> Tensor:
        """How many states each row has, [n]."""
        return self.mask.sum(dim=1)


def word_width(block: Block) -> int:
    """Return the width D of the word states of an input."""
    return block.arrays["tokens"][1] if "tokens" in block.arrays else block.width


def words_of(part: Input) -> States:
    """Return the word states [n, T, D], T that of the longest text among these rows, at least 1.

    An input without tokens is read as one word, its vector; an absent text has no word.
    """
    there = part.present[:, None] > 0
    if "tokens" not in part.arrays:
        return trimmed(part.vector[:, None, :], there)
    return trimmed(part.arrays["tokens"], (part.arrays["token_mask"] > 0) & there)


def trimmed(values: Tensor, mask: Tensor) -> States:
    """Move the valid states of each row to its front, and cut what no row needs.

    Parameters
    ----------
    values : Tensor, [n, L, D]
    mask : Tensor of bool, [n, L]
    """
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        order = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        values, mask = values.gather(1, order[:, :, None].expand_as(values)), mask.gather(1, order)
    longest = max(1, int(mask.sum(dim=1).max()))
    values, mask = values[:, :longest], mask[:, :longest]
    return States(values.masked_fill(~mask[:, :, None], 0.0), mask)


def region_width(block: Block) -> int:
    """Return the width D of the region states of an input."""
    if "map" in block.arrays:
        return block.arrays["map"][0]
    return block.arrays["regions"][1] if "regions" in block.arrays else block.width


def regions_of(part: Input) -> tuple[States, Tensor]:
    """Return the regions [n, R, D] of pictures and their places [R, 2], row and column.

    The cells of a map are its regions, row by row; listed regions stand in one row; an input without either is read as
    one region, its vector. A row without any region, as one without a picture is, has one region of zeros.
    """
    there = part.present[:, None] > 0
    if "map" in part.arrays:
        grid = part.arrays["map"]
        height, width = grid.shape[2:]
        values, mask = grid.flatten(2).transpose(1, 2), there.expand(-1, height * width)
    else:
        values = part.arrays.get("regions", part.vector[:, None, :])
        mask = part.arrays.get("region_mask", there) > 0
        width, mask = values.shape[1], mask & there
    found = trimmed(values, mask)
    cells = torch.arange(found.mask.shape[1], device=found.mask.device)
    alone = (found.lengths == 0)[:, None] & (cells == 0)
    return States(found.values, found.mask | alone), torch.stack([cells // width, cells % width], dim=1)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return [n, heads, L, d / heads] of [n, L, d]."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)
