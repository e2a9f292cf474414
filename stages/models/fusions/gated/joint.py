"""The `joint` fusion: words and regions attend to each other in one transformer encoder; docs/systems/fusions.md#joint.

Paper 4's whole system is this encoder and a gate behind it. Both are one entry here, `output: gated2d` (or `gated`),
since they are trained together: a gate that is an entry of its own reads what an encoder was frozen to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stages.models.features.layout import Block, Input, Layout, split_inputs
from stages.models.fusions.gated.gated import (
    Gate,
    MapGate,
    cell_shape,
    cells_of,
    masked_mean,
    pooled,
    token_shape,
    tokens_of,
)
from stages.models.fusions.gated.retrieval import RetrievalFusion, Signal

Output = Literal["both", "text", "image", "gated", "gated2d"]
_DEVIATION = 0.02  # of fresh embeddings, as in BERT


@dataclass(frozen=True)
class EncoderSizes:
    """Sizes of a transformer encoder; `layers` 0 for none."""

    width: int
    layers: int
    heads: int
    feedforward: int
    dropout: float


class JointEncoder(nn.Module):
    """Tokens E [n, T, D_t] and cells F [n, R, D_x] -> phi_t [n, d] and phi_x [n, d, H, W].

    [E W_t + s_0 + p_i ; F W_f + s_1 + q_j] runs through the encoder; phi_t is the mean of the words' states, phi_x
    holds the regions' states in their places. Without layers, phi_t = W_t t of the text's vector and phi_x = W_f f of
    each cell, or of the picture's vector as a single cell.

    Parameters
    ----------
    layout : Layout
        The text, and the picture as the last.
    sizes : EncoderSizes
    grid : bool
        Without layers: whether the picture is its cells, or its vector.
    """

    def __init__(self, layout: Layout, sizes: EncoderSizes, *, grid: bool) -> None:
        super().__init__()
        # Only vectors are left of the inputs where nothing reads what lies beside them.
        self._plain = (not sizes.layers, not sizes.layers and not grid)
        text, image = (
            Block(block.width) if plain else block
            for block, plain in zip((layout[0], layout[-1]), self._plain, strict=True)
        )
        (words, text_width), (image_width, self.height, self.columns) = token_shape(text), cell_shape(image)
        self.enter_text = nn.Linear(text_width, sizes.width, bias=False)
        self.enter_image = nn.Linear(image_width, sizes.width, bias=False)
        self.layers = nn.ModuleList(_layer(sizes) for _ in range(sizes.layers))
        if sizes.layers:
            self.segments = _embeddings(2, sizes.width)
            self.text_positions = _embeddings(words, sizes.width)
            self.image_positions = _embeddings(self.height * self.columns, sizes.width)

    def forward(self, text: Input, image: Input) -> tuple[Tensor, Tensor, Tensor]:
        """Return phi_t [n, d], phi_x [n, d, H, W] and the mask [n, 1, H, W] of the cells that are there.

        A row without words has phi_t = 0, and one without the picture phi_x = 0.
        """
        states, there, mask = self._entered(text, image)
        blind, words = _blind(there), states.shape[1] - self.height * self.columns
        for layer in self.layers:
            states = layer(states, src_key_padding_mask=blind)
        phi_t = masked_mean(states[:, :words], there[:, :words])
        cells = states[:, words:].transpose(1, 2).reshape(len(states), -1, self.height, self.columns)
        return phi_t, cells * mask, mask

    def attention(self, text: Input, image: Input) -> list[Tensor]:
        """Return for each layer who looks at whom: [n, heads, T + R, T + R], rows sum to 1.

        T is the length of the longest of the texts.
        """
        states, there, _ = self._entered(text, image)
        blind, found = _blind(there), []
        for layer in self.layers:
            looks: Any = layer.self_attn
            found.append(looks(states, states, states, key_padding_mask=blind, average_attn_weights=False)[1])
            states = layer(states, src_key_padding_mask=blind)
        return found

    def _entered(self, text: Input, image: Input) -> tuple[Tensor, Tensor, Tensor]:
        text, image = (
            Input(part.vector, {}, part.present) if plain else part
            for part, plain in zip((text, image), self._plain, strict=True)
        )
        (tokens, words), (cells, mask) = tokens_of(text), cells_of(image)
        used = _used(words)  # most captions are far shorter than the matrix's T
        tokens, words = tokens[:, :used], words[:, :used]
        entered = [self.enter_text(tokens), self.enter_image(cells.flatten(2).transpose(1, 2))]
        if len(self.layers):
            entered[0] = entered[0] + self.segments[0] + self.text_positions[:used]
            entered[1] = entered[1] + self.segments[1] + self.image_positions
        return torch.cat(entered, dim=1), torch.cat([words, mask.flatten(1)], dim=1), mask


def _layer(sizes: EncoderSizes) -> nn.Module:
    return nn.TransformerEncoderLayer(
        sizes.width, sizes.heads, sizes.feedforward, sizes.dropout, activation="gelu", batch_first=True
    )


def _embeddings(count: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(count, width) * _DEVIATION)


def _used(mask: Tensor) -> int:
    """Return how many of the positions [n, T] are left without those that are padding in every row; at least one."""
    positions = mask.any(dim=0).nonzero()
    return int(positions.max()) + 1 if len(positions) else 1


def _blind(there: Tensor) -> Tensor:
    """Return which of the positions [n, S] nobody looks at; none in a row that has nothing, since a mean needs some."""
    absent = there == 0
    return absent & ~absent.all(dim=1, keepdim=True)


class JointNetwork(nn.Module):
    """Joined features [n, columns] -> fused vectors, see `JointFusion`."""

    def __init__(self, layout: Layout, sizes: EncoderSizes, output: Output) -> None:
        super().__init__()
        self.layout, self.output = layout, output
        self.encoder = JointEncoder(layout, sizes, grid=output == "gated2d")
        gates = {"gated": Gate, "gated2d": MapGate}
        self.gate = gates[output](sizes.width, sizes.width) if output in gates else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the fused vectors, [n, 2 d] for both and [n, d] otherwise."""
        parts = split_inputs(x, self.layout)
        text, cells, mask = self.encoder(parts[0], parts[-1])
        if self.output == "gated2d":
            return pooled(self.gate(cells, text, mask), mask)
        image = pooled(cells, mask)
        if self.output == "gated":
            fused: Tensor = self.gate(image, text)
            return fused
        return torch.cat({"both": [text, image], "text": [text], "image": [image]}[self.output], dim=1)


class JointFusion(RetrievalFusion):
    """`joint`: a text's tokens and a picture's regions through one encoder; with a gate behind it, paper 4's system.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        A text with tokens, and a picture with a map or regions; a lone vector is one token or one region.
    output : {"both", "text", "image", "gated", "gated2d"}
        The fused vector: [phi_t; mean of phi_x] (2 d), phi_t (d), the mean of phi_x (d), or phi_t and phi_x through the
        gate of `gated` or `gated2d` (d).
    width, layers, heads, feedforward, dropout
        See `EncoderSizes`; with 0 layers nothing attends, see `JointEncoder`.
    train, lr, weight_decay, batch, epochs, seed, device
        See `RetrievalFusion`.

    Source: paper 4, docs/systems/fusions.md#joint.
    """

    def __init__(  # noqa: PLR0913 (scikit-learn's estimators take each option by name)
        self,
        layout: Sequence[Any] | None = None,
        *,
        output: Output = "both",
        width: int = 256,
        layers: int = 2,
        heads: int = 8,
        feedforward: int = 1024,
        dropout: float = 0.1,
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
        self.output, self.width, self.layers, self.heads = output, width, layers, heads
        self.feedforward, self.dropout = feedforward, dropout

    def network(self, layout: Layout) -> nn.Module:
        """Return the encoder with what is behind it."""
        sizes = EncoderSizes(self.width, self.layers, self.heads, self.feedforward, self.dropout)
        return JointNetwork(layout, sizes, self.output)
