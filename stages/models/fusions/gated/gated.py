"""The text decides how much of each of the picture's features passes; docs/systems/fusions.md#gated.

Eqs. 1-2 of paper 4 are TIRG without its second, additive term: f_gate(x, t) = sigmoid(W2 * ReLU(W1 * [x, t])) x, and
the fused vector is omega f_gate. `gated2d` reads the star as printed, a 3 x 3 convolution over the picture's cells;
`gated` as a matrix product, for pictures that are a vector. Params name the one or the other; nothing else chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stages.models.features.layout import Block, Input, Layout, split_inputs
from stages.models.fusions.gated.retrieval import RetrievalFusion, Signal


def cell_shape(block: Block) -> tuple[int, int, int]:
    """Return (D, H, W) of a picture's cells: a map as it is, R regions as one row, a lone vector as one cell."""
    if "map" in block.arrays:
        channels, height, width = block.arrays["map"]
        return channels, height, width
    if "regions" in block.arrays:
        regions, width = block.arrays["regions"]
        return width, 1, regions
    return block.width, 1, 1


def cells_of(part: Input) -> tuple[Tensor, Tensor]:
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


def tokens_of(part: Input) -> tuple[Tensor, Tensor]:
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


class Gate(nn.Module):
    """Picture [n, D_x] and text [n, D_t] -> omega sigmoid(W2 ReLU(W1 BN([x; t]))) x, [n, D_x].

    Parameters
    ----------
    image, text : int
        D_x and D_t.
    hidden : bool
        False leaves W1 out: BN, ReLU, W2, the gate of TIRG's reference implementation.
    """

    def __init__(self, image: int, text: int, *, hidden: bool = True) -> None:
        super().__init__()
        both = image + text
        self.norm = nn.BatchNorm1d(both)
        self.first = nn.Linear(both, both) if hidden else nn.Identity()
        self.second = nn.Linear(both, image)
        self.omega = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return the gated picture."""
        states = self.first(self.norm(torch.cat([image, text], dim=1))).relu()
        gated: Tensor = self.omega * self.second(states).sigmoid() * image
        return gated


class MapGate(nn.Module):
    """The same over cells: BN, 3 x 3 convolution, ReLU, 3 x 3 convolution, with the text in every cell.

    Parameters
    ----------
    image, text : int
        Channels D_x of a cell, and D_t.
    """

    def __init__(self, image: int, text: int) -> None:
        super().__init__()
        both = image + text
        self.norm = nn.BatchNorm2d(both)
        self.first = nn.Conv2d(both, both, 3, padding=1)
        self.second = nn.Conv2d(both, image, 3, padding=1)
        self.omega = nn.Parameter(torch.ones(1))

    def forward(self, cells: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Return the gated cells [n, D_x, H, W].

        Parameters
        ----------
        cells : Tensor, [n, D_x, H, W]
        text : Tensor, [n, D_t]
        mask : Tensor, [n, 1, H, W]
            A cell that is not there is to its neighbours what lies beyond the edge: zero.
        """
        spread = text[:, :, None, None].expand(-1, -1, *cells.shape[2:])
        states = self.norm(torch.cat([cells, spread], dim=1)) * mask
        states = self.first(states).relu() * mask
        gated: Tensor = self.omega * self.second(states).sigmoid() * cells
        return gated


class _VectorNetwork(nn.Module):
    def __init__(self, layout: Layout, *, hidden: bool) -> None:
        super().__init__()
        self.layout = layout
        self.gate = Gate(layout[-1].width, layout[0].width, hidden=hidden)

    def forward(self, x: Tensor) -> Tensor:
        parts = split_inputs(x, self.layout)
        gated: Tensor = self.gate(parts[-1].vector, parts[0].vector)
        return gated


class _MapNetwork(nn.Module):
    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.gate = MapGate(cell_shape(layout[-1])[0], layout[0].width)

    def forward(self, x: Tensor) -> Tensor:
        parts = split_inputs(x, self.layout)
        cells, mask = cells_of(parts[-1])
        return pooled(self.gate(cells, parts[0].vector, mask), mask)


class GatedFusion(RetrievalFusion):
    """`gated`: the picture's vector through a gate that sees the text, [n, D_x].

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        Text, then picture.
    hidden : bool
        See `Gate`.
    train, lr, weight_decay, batch, epochs, seed, device
        See `RetrievalFusion`.

    Source: paper 4 eqs. 1-2, docs/systems/fusions.md#gated.
    """

    def __init__(  # noqa: PLR0913 (scikit-learn's estimators take each option by name)
        self,
        layout: Sequence[Any] | None = None,
        *,
        hidden: bool = True,
        train: Signal = "retrieval",
        lr: float = 1e-4,
        weight_decay: float = 1e-4,
        batch: int = 32,
        epochs: int = 20,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(
            layout,
            train=train,
            lr=lr,
            weight_decay=weight_decay,
            batch=batch,
            epochs=epochs,
            seed=seed,
            device=device,
        )
        self.hidden = hidden

    def network(self, layout: Layout) -> nn.Module:
        """Return a gate for two vectors."""
        return _VectorNetwork(layout, hidden=self.hidden)


class Gated2dFusion(RetrievalFusion):
    """`gated2d`: the picture's cells through a convolutional gate that sees the text, then their mean, [n, D_x].

    Cells are those of the map, or the regions side by side as one row (1 x 3 boxes of NLVR); a picture that is a lone
    vector is one cell. Parameters are those of `RetrievalFusion`.

    Source: paper 4 eqs. 1-2, docs/systems/fusions.md#gated2d.
    """

    def network(self, layout: Layout) -> nn.Module:
        """Return a gate for a vector and a grid."""
        return _MapNetwork(layout)
