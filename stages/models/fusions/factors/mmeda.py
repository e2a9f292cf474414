"""Fits `mmeda1` and `mmeda2`: pictures and texts to one embedding; docs/systems/fusions.md#mmeda1."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stages.contract import Tracker
from stages.models.encoders.image.autoencoder import Scaled
from stages.models.encoders.image.convae import preprocessing
from stages.models.features.layout import Layout, split_inputs
from stages.models.features.transformer import FusionTransformer
from stages.models.fusions.factors.mmeda_network import Batch, Mmeda1, Mmeda2, Sizes
from stages.models.fusions.factors.rows import Mmeda1Options
from stages.models.heads.model import Array, Features, blocks_of
from stages.models.training.epochs import UNWATCHED, Schedule, Watch, run_epochs
from stages.models.training.state import LastEpochTraining
from store.errors import InputError

_FILE = "network.safetensors"
_LEAST_SIZE = 4


def picture_size(layout: Layout | None) -> int:
    """Return S, pixels of a side, from the width 3·S·S of the second input; 4 without a layout, where there is none.

    Raises
    ------
    InputError
        When there are not two inputs, or the second cannot hold such pictures.
    """
    if layout is None:
        return _LEAST_SIZE
    widths = [block.width for block in layout]
    size = math.isqrt(widths[-1] // 3)
    if len(widths) != 2 or 3 * size * size != widths[-1] or size % 4 or not size:
        raise InputError(
            "fusion mmeda: expected a text vector and then the pixels of pictures of S x S, which are 3*S*S numbers "
            f"with S a multiple of 4; found inputs of {widths} numbers; embed the pictures with the encoder `pixels` "
            "and a `size` such as 224, and give that entry last."
        )
    return size


def texts_and_planes(x: Array, layout: Layout | None) -> tuple[Array, Array]:
    """Cut joined features [n, columns] into texts [n, p] and planes of pixels [n, 3·S·S].

    Without a layout all columns are text, and the picture is black.
    """
    parts = split_inputs(x, layout)
    if layout is None:
        return parts[0].vector, np.zeros((len(x), 3 * _LEAST_SIZE**2), dtype=np.float32)
    return parts[0].vector, parts[1].vector


class Reader:
    """Reads rows of joined features as scaled pictures and texts, of the same rows in the same order.

    Parameters
    ----------
    layout : Layout, optional
    device : str
    """

    def __init__(self, layout: Layout | None, device: str) -> None:
        self._layout, self._device, self._size = layout, device, picture_size(layout)
        rule = preprocessing(self._size, "squash")
        self._scaled = Scaled(rule.mean, rule.std, nn.Identity()).to(device)

    def read(self, x: Array) -> tuple[Tensor, Tensor]:
        """Return pictures [n, 3, S, S] and texts [n, p] of joined features [n, columns], on the device."""
        texts, planes = (
            torch.from_numpy(np.ascontiguousarray(each)).to(self._device) for each in texts_and_planes(x, self._layout)
        )
        pixels = planes.reshape(-1, 3, self._size, self._size).permute(0, 2, 3, 1)
        return self._scaled.scale(pixels), texts

    def all_texts(self, x: Features) -> Tensor:
        """Return the texts [n, p] of all rows, and make sure that the others are pixels.

        Raises
        ------
        InputError
            When a row that has a picture has something else than whole numbers of 0 to 255 in its place.
        """
        found = []
        for block in blocks_of(x):
            texts, planes = texts_and_planes(block, self._layout)
            seen = planes[split_inputs(block, self._layout)[-1].present > 0] if self._layout else planes
            if not np.array_equal(seen, np.clip(np.rint(seen), 0, 255)):
                raise InputError(
                    "fusion mmeda: expected the pixels of the encoder `pixels`, whole numbers of 0 to 255; found "
                    f"{seen.min():.4g} to {seen.max():.4g}; leave `scale` at none, and give `pixels` as the last input."
                )
            found.append(np.array(texts))
        return torch.from_numpy(np.concatenate(found)).to(self._device)


class MmedaTraining(LastEpochTraining):
    """A network trained one epoch at a time; the order of an epoch follows from (seed, epoch) alone.

    Parameters
    ----------
    x : Features, [n, columns]
        Joined features of train rows.
    network : Mmeda1
    reader : Reader
    options : Mmeda1Options
    seed : int
    """

    def __init__(self, x: Features, network: Mmeda1, reader: Reader, options: Mmeda1Options, seed: int) -> None:
        super().__init__(network, torch.optim.SGD(network.parameters(), lr=options.lr))
        self._x, self._reader, self._options, self._seed = x, reader, options, seed
        self.network = network
        self._texts = reader.all_texts(x)

    def batches(self, number: int) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Give row numbers [b], pictures [b, 3, S, S] and texts [b, p] of an epoch; the last batch may be smaller."""
        order = np.random.default_rng([self._seed, number]).permutation(len(self._x))
        for start in range(0, len(order), self._options.batch):
            rows = np.sort(order[start : start + self._options.batch])
            yield rows, *self._reader.read(np.asarray(self._x[rows], dtype=np.float32))

    def blocks(self) -> list[slice]:
        """Return the blocks of text columns; the last may be smaller."""
        width, size = self._texts.shape[1], self._options.column_batch
        return [slice(start, min(start + size, width)) for start in range(0, width, size)]

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        """Make a step for each batch of rows and block of columns; return the mean loss of a step, by rows."""
        total, blocks = 0.0, self.blocks()
        # The same steps in every run, and in full float32, on a GPU too.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            for rows, pictures, texts in self.batches(number):
                steps = [self._step(Batch(pictures, texts, self._texts[:, block].T, block)) for block in blocks]
                total += sum(steps) / len(blocks) * len(rows)
                tracker.advance(len(rows))
        return total / len(self._x), math.nan

    def _step(self, batch: Batch) -> float:
        parts = self.network.losses(batch, self.network.encode(batch))
        loss = torch.stack(list(parts.values())).sum()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())


class Mmeda1Fusion(FusionTransformer):
    """`mmeda1`: the embedding e [n, components] of a text and a picture; docs/systems/fusions.md#mmeda1.

    The first input is a text vector, the second the bytes of a picture as the encoder `pixels` gives them; they are
    scaled here as for ImageNet, so `scale` must be none. A step rebuilds the pictures of some rows from e and, of
    their texts, a block of columns by e cᵀ, where c are codes of these columns over all train rows. Only the encoders
    of pictures and text rows are needed later, so any row can be embedded, and rows do not influence each other. A row
    without an input carries its missing vector (by default a black picture, and the text encoder's of no text) and
    counts as any other, in training too.

    `fit` holds the train texts and one batch of pictures; the rest is read when its turn comes. The column encoder has
    some n²/2 weights for n train rows.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The two inputs; see `as_layout`. None takes all columns for texts, beside a black picture of 4 x 4 pixels.
    components, hidden : int
        Widths of the embedding, and of the layer between it and the convolutions.
    lr : float
        Of plain SGD.
    batch, column_batch : int
        Rows, and columns of the texts, of a step.
    epochs : int
    seed : int
    device : str

    Attributes
    ----------
    network_ : Mmeda1
    history_ : list of Epoch
    """

    def __init__(  # noqa: PLR0913, PLR0917 (its options by name, as scikit-learn wants them)
        self,
        layout: Sequence[Any] | None = None,
        components: int = 50,
        hidden: int = 512,
        lr: float = 0.01,
        batch: int = 50,
        column_batch: int = 50,
        epochs: int = 30,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(layout)
        self.components, self.hidden, self.lr, self.batch = components, hidden, lr, batch
        self.column_batch, self.epochs, self.seed, self.device = column_batch, epochs, seed, device

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (no labels)
        """Learn from joined features [n, columns] of train rows.

        Raises
        ------
        InputError
            When the inputs are not a text vector and the pixels of pictures whose sides are multiples of 4.
        RunError
            When the training diverges.
        """
        x = self._learnable(x)
        reader = Reader(self.inputs, self.device)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = self._network(len(x))
        options = Mmeda1Options(**{name: getattr(self, name) for name in Mmeda1Options.model_fields})
        training = MmedaTraining(x, network, reader, options, self.seed)
        self.history_ = run_epochs(watch, training, Schedule(self.epochs, len(x)))
        self.network_ = network
        return self

    def _network(self, rows: int) -> Mmeda1:
        return self._build(self._sizes(rows)).to(self.device)

    def _sizes(self, rows: int) -> Sizes:
        layout = self.inputs
        width = self.n_features_in_ if layout is None else layout[0].width
        return Sizes(rows, width, picture_size(layout), self.hidden, self.components)

    def _build(self, sizes: Sizes) -> Mmeda1:
        return Mmeda1(sizes)

    @torch.inference_mode()
    def transform(self, x: Array) -> Array:
        """Return the embeddings, float32 [n, components], of joined features [n, columns]."""
        x = self._transformable(x)
        reader, found = Reader(self.inputs, self.device), [np.zeros((0, self.components), np.float32)]
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            for start in range(0, len(x), self.batch):
                pictures, texts = reader.read(x[start : start + self.batch])
                found.append(self.network_.embed(pictures, texts).cpu().numpy())
        return np.concatenate(found)

    def save(self, folder: Path) -> None:
        """Write `network.safetensors`."""
        save_file({name: value.contiguous() for name, value in self.network_.state_dict().items()}, folder / _FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        self._restored()
        saved = load_file(folder / _FILE)
        self.network_ = self._network(saved["column_encoder.0.weight"].shape[1])
        self.network_.load_state_dict(saved)
        return self


class Mmeda2Fusion(Mmeda1Fusion):
    """`mmeda2`: as `mmeda1`, and text rows and columns are rebuilt too; docs/systems/fusions.md#mmeda2.

    Parameters
    ----------
    decode_image_from : {"ae0", "joint"}
        Rebuild the picture from its own code, as the paper says, or from the embedding e, as the authors' code does.
    layout, components, hidden, lr, batch, column_batch, epochs, seed, device
        As for `Mmeda1Fusion`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (its options by name, as scikit-learn wants them)
        self,
        layout: Sequence[Any] | None = None,
        components: int = 50,
        hidden: int = 512,
        lr: float = 0.01,
        batch: int = 50,
        column_batch: int = 50,
        epochs: int = 50,
        decode_image_from: Literal["ae0", "joint"] = "ae0",
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(layout, components, hidden, lr, batch, column_batch, epochs, seed, device)
        self.decode_image_from = decode_image_from

    def _build(self, sizes: Sizes) -> Mmeda1:
        return Mmeda2(sizes, self.decode_image_from)
