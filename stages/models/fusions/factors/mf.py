"""Matrix factorisation (`mf`) by autoencoders of each input's rows and columns; docs/systems/fusions.md#mf."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from stages.contract import Tracker
from stages.models.features.table import input_widths, stacked, vectors_of
from stages.models.features.transformer import FusionTransformer
from stages.models.fusions.factors.rows import MfOptions
from stages.models.heads.model import Array, Features, blocks_of
from stages.models.training.checkpoints import Tensors
from stages.models.training.epochs import UNWATCHED, Epoch, Schedule, Watch, run_epochs
from stages.models.training.state import LastEpochTraining

_FILE, _LOSSES = "autoencoders.safetensors", "losses"


class Autoencoder(nn.Module):
    """Rows [m, width] of one entity to embeddings [m, components], which may be negative, and back."""

    def __init__(self, width: int, hidden: int, components: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, components))
        self.decoder = nn.Sequential(nn.ReLU(), nn.Linear(components, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings [m, components] and the rebuilt rows [m, width]."""
        embedding = self.encoder(x)
        return embedding, self.decoder(embedding)


class FactorNetwork(nn.Module):
    """An autoencoder for the rows of [X0; X1; ...] and one for the columns of each X_m [n, p_m].

    2,892,018 parameters for 5000 rows of widths 100 and 1000 at the published sizes.

    Parameters
    ----------
    rows : int
        n, what the column autoencoders read.
    widths : sequence of int
        p_m.
    hidden, components : int
        Widths of the hidden layers and of the embeddings.
    """

    def __init__(self, rows: int, widths: Sequence[int], hidden: int, components: int) -> None:
        super().__init__()
        self.rows = Autoencoder(sum(widths), hidden, components)
        self.columns = nn.ModuleList(Autoencoder(rows, hidden, components) for _ in widths)

    def forward(self, x: Tensor, columns: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return embeddings U and rebuilt inputs: of the rows `x` [b, sum of p_m], then of columns [b_m, n] of each."""
        entities = [(self.rows, x), *zip(self.columns, columns, strict=True)]
        made = [autoencoder(entity) for autoencoder, entity in entities]
        return [embedding for embedding, _ in made], [rebuilt for _, rebuilt in made]


def product_losses(rows: Tensor, columns: Sequence[Tensor], matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean squared error of U_0 [b, k] U_mᵀ [k, b_m] for each matrix [b, b_m]."""
    return [mse_loss(rows @ each.T, matrix) for each, matrix in zip(columns, matrices, strict=True)]


class Settled(Exception):  # noqa: N818 (nothing went wrong)
    """The loss falls no more: the training is done before its last epoch."""


class MfTraining(LastEpochTraining):
    """The autoencoders of train rows, trained one epoch at a time.

    Parameters
    ----------
    x : ndarray of float32, [n, sum of widths]
    widths : sequence of int
        Of the matrices that stand side by side in `x`.
    options : MfOptions
    chance : (int, str)
        Seed and device.
    """

    def __init__(
        self, x: NDArray[np.float32], widths: Sequence[int], options: MfOptions, chance: tuple[int, str]
    ) -> None:
        self._options, (self._seed, device) = options, chance
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            self.network = FactorNetwork(len(x), widths, options.hidden, options.components).to(device)
        self._x = torch.from_numpy(x).to(device)
        self._matrices = torch.split(self._x, list(widths), dim=1)
        self.losses: list[float] = []
        kind = torch.optim.SGD if options.step == "epoch" else torch.optim.Adam
        super().__init__(self.network, kind(self.network.parameters(), lr=options.lr))

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        """Pass over all rows once; return the loss of docs/systems/fusions.md#mf.

        Raises
        ------
        Settled
            When the loss fell by less than the tolerance, which is looked at after epoch `settled`.
        """
        step = self._whole if self._options.step == "epoch" else self._stepwise
        self.losses.append(step(number, tracker))
        if number > max(1, self._options.settled) and self.losses[-2] - self.losses[-1] < self._options.tolerance:
            raise Settled
        return self.losses[-1], math.nan

    def _whole(self, number: int, tracker: Tracker) -> float:  # noqa: ARG002 (nothing is random)
        """Make one step down the gradient of the whole loss, which batches of rows add up to."""
        made = [each(matrix.T) for each, matrix in zip(self.network.columns, self._matrices, strict=True)]
        embeddings = [embedding for embedding, _ in made]
        columns = torch.stack([mse_loss(made[at][1], self._matrices[at].T) for at in range(len(made))]).sum()
        # Each batch of rows adds its gradient here; it goes on through the column autoencoders once, at the end.
        leaves = [each.detach().requires_grad_() for each in embeddings]
        self.optimizer.zero_grad()
        total = float(columns.detach())
        for batch in torch.split(torch.arange(len(self._x), device=self._x.device), self._options.batch):
            rows, rebuilt = self.network.rows(self._x[batch])
            parts = product_losses(rows, leaves, [matrix[batch] for matrix in self._matrices])
            loss = torch.stack([mse_loss(rebuilt, self._x[batch]), *parts]).sum() * (len(batch) / len(self._x))
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            tracker.advance(len(batch))
        torch.autograd.backward([columns, *embeddings], [None, *(leaf.grad for leaf in leaves)])
        self.optimizer.step()
        return total

    def _stepwise(self, number: int, tracker: Tracker) -> float:
        """Make a step for each batch of rows, with as many columns of each matrix, drawn in turn."""
        rng, size, total = np.random.default_rng([self._seed, number]), self._options.batch, 0.0
        batches = self._turns(rng, len(self._x), math.ceil(len(self._x) / size))
        columns = [self._turns(rng, matrix.shape[1], len(batches)) for matrix in self._matrices]
        for at, batch in enumerate(batches):
            drawn = [matrix[:, turns[at]] for matrix, turns in zip(self._matrices, columns, strict=True)]
            entities = [self._x[batch], *(each.T for each in drawn)]
            embeddings, rebuilt = self.network(entities[0], entities[1:])
            own = [mse_loss(made, entity) for made, entity in zip(rebuilt, entities, strict=True)]
            products = product_losses(embeddings[0], embeddings[1:], [each[batch] for each in drawn])
            loss = torch.stack([*own, *products]).sum()
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += float(loss.detach()) * len(batch)
            tracker.advance(len(batch))
        return total / len(self._x)

    def _turns(self, rng: np.random.Generator, count: int, turns: int) -> list[Tensor]:
        """Return so many batches of `count` rows or columns, each of them once before any comes again."""
        drawn: list[Tensor] = []
        while len(drawn) < turns:
            order = torch.from_numpy(rng.permutation(count)).to(self._x.device)
            drawn += torch.split(order, self._options.batch)
        return drawn[:turns]

    def state(self) -> Tensors:
        """Return the weights, the moments of the optimiser, and the losses so far."""
        return {**super().state(), _LOSSES: np.array(self.losses)}

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""
        super().restore(tensors)
        self.losses = tensors[_LOSSES].tolist()


class MfFusion(FusionTransformer):
    """`mf`: embeddings of the rows, [n, components], that rebuild each input by products; docs/systems/fusions.md#mf.

    The loss is the sum of mean squared errors of one autoencoder for the rows of [X0; X1; ...], of one for the columns
    of each X_m, and of U_0 U_mᵀ against X_m, where U are the embeddings. Only the row encoder is needed later, so any
    row can be embedded, and rows do not influence each other. Rows without an input carry its missing vector and count
    as any other.

    `fit` holds the train vectors, float32 [n, sum of widths], about four times on the device: the column autoencoders
    read all rows at once.

    Parameters
    ----------
    layout : Layout or sequence of int, optional
        The inputs; see `as_layout`. None takes all columns for one matrix.
    components, hidden : int
        Widths of the embeddings and of the hidden layers.
    lr : float
    batch : int
        Rows at a time, and columns of each matrix at a time where `step` is "batch".
    step : {"epoch", "batch"}
        Plain gradient descent, one step an epoch, as its authors ran it; or Adam, one step a batch.
    epochs : int
        At most.
    settled : int
        After this epoch, stop where the loss fell by less than `tolerance`.
    tolerance : float
    seed : int
    device : str

    Attributes
    ----------
    network_ : FactorNetwork
    history_ : list of Epoch
    """

    def __init__(  # noqa: PLR0913, PLR0917 (its options by name, as scikit-learn wants them)
        self,
        layout: Sequence[Any] | None = None,
        components: int = 50,
        hidden: int = 128,
        lr: float = 1e-4,
        batch: int = 50,
        step: str = "epoch",
        epochs: int = 500,
        settled: int = 100,
        tolerance: float = 1e-4,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(layout)
        self.components, self.hidden, self.lr, self.batch, self.step = components, hidden, lr, batch, step
        self.epochs, self.settled, self.tolerance, self.seed, self.device = epochs, settled, tolerance, seed, device

    def fit(self, x: Features, y: Any = None, watch: Watch = UNWATCHED) -> Self:  # noqa: ARG002 (no labels)
        """Learn from joined features [n, columns] of train rows.

        Raises
        ------
        RunError
            When the training diverges.
        """
        x = self._learnable(x)
        options = MfOptions(**{name: getattr(self, name) for name in MfOptions.model_fields})
        widths = input_widths(x.shape[1], self.inputs)
        training = MfTraining(stacked(x, self.inputs), widths, options, (self.seed, self.device))
        try:
            self.history_ = run_epochs(watch, training, Schedule(self.epochs, len(x)))
        except Settled:
            self.history_ = [Epoch(number, loss) for number, loss in enumerate(training.losses, 1)]
        self.network_ = training.network
        return self

    @torch.inference_mode()
    def transform(self, x: Array) -> Array:
        """Return the embeddings, float32 [n, components], of joined features [n, columns]."""
        x = self._transformable(x)
        found = [np.zeros((0, self.components), np.float32)]
        for block in blocks_of(x):
            vectors = torch.from_numpy(vectors_of(block, self.inputs)).to(self.device)
            found.append(self.network_.rows.encoder(vectors).cpu().numpy())
        return np.concatenate(found)

    def save(self, folder: Path) -> None:
        """Write `autoencoders.safetensors`: those of the rows and of the columns."""
        save_file({name: value.contiguous() for name, value in self.network_.state_dict().items()}, folder / _FILE)

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote."""
        self._restored()
        saved = load_file(folder / _FILE)
        rows = saved["columns.0.encoder.0.weight"].shape[1]
        widths = input_widths(self.n_features_in_, self.inputs)
        self.network_ = FactorNetwork(rows, widths, self.hidden, self.components).to(self.device)
        self.network_.load_state_dict(saved)
        return self
