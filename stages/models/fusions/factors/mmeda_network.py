"""The networks of `mmeda1` and `mmeda2`: a picture and a text become one embedding; docs/systems/fusions.md#mmeda1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from stages.models.encoders.image.autoencoder import Decoder, Encoder


@dataclass(frozen=True)
class Sizes:
    """Of a network.

    Attributes
    ----------
    rows : int
        n, train rows: what the column encoder reads.
    width : int
        p of the text vectors.
    size : int
        S, pixels of a side, a multiple of 4.
    hidden, components : int
        Between the convolutions and the embedding; of the embedding.
    """

    rows: int
    width: int
    size: int
    hidden: int
    components: int


@dataclass(frozen=True)
class Batch:
    """What one step reads.

    Attributes
    ----------
    pictures : Tensor, [b, 3, S, S]
        X0, scaled.
    texts : Tensor, [b, p]
        X1 of the same rows in the same order.
    columns : Tensor, [b', n]
        X2: some columns of all train texts.
    block : slice
        Which columns these are.
    """

    pictures: Tensor
    texts: Tensor
    columns: Tensor
    block: slice


@dataclass(frozen=True)
class Codes:
    """What the encoders make of a batch: pictures f [b, k], texts r [b, k], columns c [b', k], rows e [b, k]."""

    pictures: Tensor
    texts: Tensor
    columns: Tensor
    joint: Tensor

    @property
    def products(self) -> Tensor:
        """The rebuilt texts e cᵀ [b, b'], in the columns of the batch alone."""
        return self.joint @ self.columns.T


def _two_layers(first: int, last: int, *, middle: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(first, middle), nn.ReLU(), nn.Linear(middle, last))


class Mmeda1(nn.Module):
    """Encoders of pictures, text rows and text columns; the picture is rebuilt from the embedding of its row.

    25,551,697 parameters for 5000 rows of width 100 and pictures of 224 pixels at the published sizes.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        rows, width, k = sizes.rows, sizes.width, sizes.components
        self.picture_encoder = Encoder(sizes.size, sizes.hidden, k)
        self.row_encoder = _two_layers(width, k, middle=max(1, width // 2))
        self.column_encoder = _two_layers(rows, k, middle=max(1, rows // 2))
        self.joint = nn.Linear(2 * k, k)
        self.picture_decoder = Decoder(sizes.size, sizes.hidden, k)

    def embed(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Return the embeddings e [b, k] of rows."""
        joint: Tensor = self.joint(torch.cat([self.picture_encoder(pictures), self.row_encoder(texts)], dim=1))
        return joint

    def encode(self, batch: Batch) -> Codes:
        """Return the codes of a batch."""
        pictures, texts = self.picture_encoder(batch.pictures), self.row_encoder(batch.texts)
        joint = self.joint(torch.cat([pictures, texts], dim=1))
        return Codes(pictures, texts, self.column_encoder(batch.columns), joint)

    def losses(self, batch: Batch, codes: Codes) -> dict[str, Tensor]:
        """Return the mean squared errors that the loss is the sum of."""
        return {
            "pictures": mse_loss(self.picture_decoder(codes.joint), batch.pictures),
            "products": mse_loss(codes.products, batch.texts[:, batch.block]),
        }


class Mmeda2(Mmeda1):
    """As `Mmeda1`, and text rows and columns are rebuilt from their own codes too.

    38,191,847 parameters for 5000 rows of width 100 and pictures of 224 pixels at the published sizes.

    Parameters
    ----------
    sizes : Sizes
    decode_image_from : {"ae0", "joint"}
        Rebuild the picture from its own code f, or from the embedding e.
    """

    def __init__(self, sizes: Sizes, decode_image_from: Literal["ae0", "joint"] = "ae0") -> None:
        super().__init__(sizes)
        rows, width, k = sizes.rows, sizes.width, sizes.components
        self.decode_image_from = decode_image_from
        self.row_decoder = _two_layers(k, width, middle=max(1, width // 2))
        self.column_decoder = _two_layers(k, rows, middle=max(1, rows // 2))

    def losses(self, batch: Batch, codes: Codes) -> dict[str, Tensor]:
        """Return the mean squared errors that the loss is the sum of."""
        code = codes.pictures if self.decode_image_from == "ae0" else codes.joint
        return {
            "pictures": mse_loss(self.picture_decoder(code), batch.pictures),
            "products": mse_loss(codes.products, batch.texts[:, batch.block]),
            "texts": mse_loss(self.row_decoder(codes.texts), batch.texts),
            "columns": mse_loss(self.column_decoder(codes.columns), batch.columns),
        }
