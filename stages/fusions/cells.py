"""Reads an input as a sequence or a grid: tokens of a text, cells of a picture, and which of them are there."""

from __future__ import annotations

from torch import Tensor

from stages.fusions.layout import Block, Parts


def cell_shape(block: Block) -> tuple[int, int, int]:
    """Return (D, H, W) of a picture's cells: a map as it is, R regions as one row, a lone vector as one cell."""
    if "map" in block.arrays:
        channels, height, width = block.arrays["map"]
        return channels, height, width
    if "regions" in block.arrays:
        regions, width = block.arrays["regions"]
        return width, 1, regions
    return block.width, 1, 1


def cells_of(part: Parts) -> tuple[Tensor, Tensor]:
    """Return a picture's cells.

    Returns
    -------
    cells : Tensor, [n, D, H, W]
        See `cell_shape`; zero where no cell is.
    mask : Tensor, [n, 1, H, W]
        1 where there is a cell; a row without the picture has none.
    """
    if "map" in part.arrays:
        cells = part.arrays["map"]
        mask = part.present[:, None, None, None].expand(-1, 1, *cells.shape[2:])
    elif "regions" in part.arrays:
        cells = part.arrays["regions"].transpose(1, 2)[:, :, None, :]  # [n, D, 1, R]
        mask = part.arrays["region_mask"][:, None, None, :]
    else:
        cells, mask = part.vector[:, :, None, None], part.present[:, None, None, None]
    return cells * mask, mask


def token_shape(block: Block) -> tuple[int, int]:
    """Return (T, D) of a text's tokens; a lone vector is one token."""
    if "tokens" in block.arrays:
        positions, width = block.arrays["tokens"]
        return positions, width
    return 1, block.width


def tokens_of(part: Parts) -> tuple[Tensor, Tensor]:
    """Return a text's tokens [n, T, D] and their mask [n, T]; a row without the text has none."""
    if "tokens" in part.arrays:
        return part.arrays["tokens"], part.arrays["token_mask"]
    return part.vector[:, None, :], part.present[:, None]


def masked_mean(rows: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of those of the rows [n, S, D] that are there by the mask [n, S]: [n, D]; zero where none is."""
    total = (rows * mask[:, :, None]).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


def pooled(cells: Tensor, mask: Tensor) -> Tensor:
    """Return the mean [n, D] of those of the cells [n, D, H, W] that are there."""
    return masked_mean(cells.flatten(2).transpose(1, 2), mask.flatten(1))
