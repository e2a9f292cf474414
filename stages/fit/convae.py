"""Fits `convae`: an autoencoder that learns to rebuild the train pictures; docs/systems/encoders.md#convae."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from stages.contract import Tracker
from stages.fit.context import FitContext, Fitted, prepared_rows
from stages.fit.options import ConvaeOptions
from stages.models.encoders.image.autoencoder import Autoencoder, Scaled
from stages.models.encoders.image.convae import DECODER, ENCODER, preprocessing
from stages.models.training.checkpoints import Tensors
from stages.models.training.epochs import Schedule, run_epochs
from stages.models.training.state import restore_training, training_arrays
from store.results.cards import EntryCard


def fit_convae(context: FitContext, folder: Path) -> Fitted:
    """Train the autoencoder and write the weights of both halves.

    Raises
    ------
    RunError
        When no picture can be read, or the training diverged.
    """
    options: ConvaeOptions = context.options
    with context.checkpoints.scratch() as scratch:
        pixels = _pixels(context, options, scratch / "pixels")
        training = _Training(pixels, options, context.seed, context.device)
        history = run_epochs(context, training, Schedule(options.epochs, len(pixels)))
    network = training.network.cpu()
    for half, name in ((network.encoder, ENCODER), (network.decoder, DECODER)):
        save_file({key: value.contiguous() for key, value in half.state_dict().items()}, folder / name)
    left_out = len(context.rows) - len(pixels)
    parameters = sum(each.numel() for each in network.parameters())
    return Fitted(history, EntryCard(counts={"parameters": parameters, "left_out": left_out}))


def _pixels(context: FitContext, options: ConvaeOptions, path: Path) -> NDArray[np.uint8]:
    """Decode every picture once, into a file: uint8 [n, S, S, 3], which need not fit into memory."""
    prepare = preprocessing(options.size, options.resize)
    shape = (len(context.rows), options.size, options.size, 3)
    held = np.memmap(path, np.uint8, "w+", shape=shape)
    count = 0
    with context.progress.track(f"fit {context.name}: decode", len(context.rows)) as tracker:
        for _, picture in prepared_rows(context, prepare):
            held[count] = picture
            count += 1
            tracker.advance()
    return held[:count]


class _Training:
    """An autoencoder that is trained one epoch at a time; the order of an epoch follows from (seed, epoch) alone."""

    def __init__(self, pixels: NDArray[np.uint8], options: ConvaeOptions, seed: int, device: str) -> None:
        self._pixels, self._options, self._seed, self._device = pixels, options, seed, device
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = Autoencoder(options.size, options.hidden, options.latent).to(device)
        rule = preprocessing(options.size, options.resize)
        self._scaled = Scaled(rule.mean, rule.std, nn.Identity()).to(device)
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=options.lr)

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        """Pass once over all pictures; the loss is the mean squared error of a scaled number."""
        order = np.random.default_rng([self._seed, number]).permutation(len(self._pixels))
        total, size = 0.0, self._options.batch
        # The same steps in every run, and in full float32, on a GPU too.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            for start in range(0, len(order), size):
                batch = np.sort(order[start : start + size])
                total += self._step(torch.from_numpy(self._pixels[batch]).to(self._device)) * len(batch)
                tracker.advance(len(batch))
        return total / len(order), math.nan

    def _step(self, pixels: Tensor) -> float:
        scaled = self._scaled.scale(pixels)
        loss = nn.functional.mse_loss(self.network(scaled), scaled)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return float(loss.detach())

    def state(self) -> Tensors:
        """Return the weights and the moments of Adam."""
        return training_arrays(self.network, self._optimizer)

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""
        restore_training(self.network, self._optimizer, tensors)

    def weights(self) -> Tensors:
        """Return nothing: the last epoch counts."""
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Do nothing."""
