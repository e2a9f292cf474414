"""The autoencoder of `convae` in torch: its encoder half is run, `fit` trains both; docs/systems/encoders.md#convae."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Encoder(nn.Sequential):
    """Two convolutions with pooling and two linear layers: [n, 3, S, S] to latent numbers >= 0, [n, latent].

    Parameters
    ----------
    size : int
        S, a multiple of 4.
    hidden, latent : int
        Widths of the linear layers.
    """

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # [n, 16, S/2, S/2]
            nn.Conv2d(16, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # [n, 4, S/4, S/4]
            nn.Flatten(),
            nn.Linear(4 * (size // 4) ** 2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, latent),
            nn.ReLU(),
        )


class Decoder(nn.Sequential):
    """Back from [n, latent] to [n, 3, S, S], without an activation at the end; see `Encoder`."""

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        half = size // 2
        super().__init__(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, half * half),
            nn.ReLU(),
            nn.Unflatten(1, (1, half, half)),
            nn.ConvTranspose2d(1, 16, 3, stride=2, output_padding=1),  # [n, 16, S + 2, S + 2]
            nn.ReLU(),
            nn.ConvTranspose2d(16, 3, 3, padding=2),
        )


class Autoencoder(nn.Module):
    """Both halves; 30,602,367 parameters at the published sizes 224, 1200 and 200."""

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(size, hidden, latent), Decoder(size, hidden, latent)

    def forward(self, scaled: Tensor) -> Tensor:
        """Return the reconstruction [n, 3, S, S] of scaled pictures [n, 3, S, S]."""
        rebuilt: Tensor = self.decoder(self.encoder(scaled))
        return rebuilt


class Scaled(nn.Module):
    """Turns pixels uint8 [n, S, S, 3] into what the network takes: float32 [n, 3, S, S], minus mean, over deviation.

    Parameters
    ----------
    mean, std : tuple of float
        Of each channel, for values in [0, 1].
    body : torch module
        What the result goes through.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def scale(self, pixels: Tensor) -> Tensor:
        """Return the scaled pictures, in the type of the buffers."""
        planes = pixels.permute(0, 3, 1, 2).to(self.mean.dtype)
        scaled: Tensor = (planes - self.mean) / self.std
        return scaled

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """Return what `body` makes of the scaled pictures, alone in a tuple."""
        return (self.body(self.scale(pixels)),)
