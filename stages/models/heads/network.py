"""Train torch networks through skorch: one trainer for the heads `linear` and `mlp` and for every trainable fusion."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stages.models.heads.model import Array, LabelledRows, Problem, Scores
from stages.models.heads.network_training import NetworkTraining
from stages.models.heads.options import NetworkOptions
from stages.models.training.epochs import UNWATCHED, Epoch, Schedule, Watch, run_epochs
from stages.models.training.state import Arrays

_ROWS = 1024
_WEIGHTS, _CONFIG = "network.safetensors", "network.json"


class Mlp(nn.Module):
    """Linear layers with ReLU and dropout between them; without hidden layers a plain linear map [n, D] -> [n, K].

    Parameters
    ----------
    inputs, outputs : int
        Widths D and K.
    hidden : sequence of int
        Widths of the hidden layers.
    dropout : float
        After every hidden layer; on the input when there is none.
    """

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [] if hidden else [nn.Dropout(dropout)]
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [n, K] of rows [n, D]."""
        logits: Tensor = self.layers(x)
        return logits


class NetworkModel:
    """A torch module with its training; the best epoch by dev loss is kept.

    Parameters
    ----------
    module : type of torch module
        Maps rows [n, D] to logits [n, K]; see `network_training` for what else a module may say. To be looked into, it
        has `input_weights(x)` or `inner_vectors(x)`, see `Transparent`.
    arguments : mapping
        Keyword arguments of the module, JSON values only: they are saved beside the weights.
    options : NetworkOptions
        Learning rate and the rest.
    problem : Problem
        Task, outputs, seed, device.
    start : mapping of str to array, optional
        Weights by name that the training starts from; the others are drawn.
    """

    def __init__(
        self,
        module: type[nn.Module],
        arguments: Mapping[str, Any],
        options: NetworkOptions,
        problem: Problem,
        start: Arrays | None = None,
    ) -> None:
        self.module, self.arguments, self.options, self.problem = module, dict(arguments), options, problem
        self.start = start or {}
        self.history: list[Epoch] = []

    def fit(self, train: LabelledRows, dev: LabelledRows, watch: Watch = UNWATCHED) -> Self:
        """Train on `train`, stop early on `dev` when it has rows; equal inputs and seeds give equal weights."""
        training = NetworkTraining(self.module, self.arguments, self.options, self.problem, (train, dev))
        if self.start:
            training.restore_weights({**training.weights(), **self.start})
        patience = self.options.patience if len(dev) and not self.options.replica else None
        self.history = run_epochs(
            watch, training, Schedule(self.options.epochs, training.rows, patience, training.monitor)
        )
        self.fitted_ = training.module.eval()
        return self

    def scores(self, x: Array) -> Scores:
        """Return probabilities [n, K] or values [n, 1]; rows do not influence each other."""
        parts = [self._block(x[start : start + _ROWS]) for start in range(0, len(x), _ROWS)]
        return np.concatenate(parts) if parts else np.zeros((0, self.problem.outputs), dtype=np.float32)

    def _block(self, x: Array) -> Scores:
        with torch.inference_mode():
            logits = self.fitted_(torch.from_numpy(np.ascontiguousarray(x)).to(self.problem.device)).float()
            if self.problem.task == "multilabel":
                logits = logits.sigmoid()
            elif self.problem.task == "multiclass":
                logits = logits.softmax(dim=1)
        scores: Scores = logits.cpu().numpy()
        return scores

    def input_weights(self, x: Array) -> Array | None:
        """Return what the module's method of this name gives, float32 [n, M]; None where it has none."""
        weigh = getattr(self.fitted_, "input_weights", None)
        return None if weigh is None else self._read(x, lambda rows: {"weights": weigh(rows)})["weights"]

    def inner_vectors(self, x: Array) -> dict[Any, Array]:
        """Return what the module's method of this name gives, [n, width] by layer; nothing where it has none."""
        show = getattr(self.fitted_, "inner_vectors", None)
        return {} if show is None else self._read(x, show)

    def _read(self, x: Array, read: Callable[[Tensor], Mapping[Any, Tensor]]) -> dict[Any, Array]:
        """Return what `read` gives for rows [n, D], at least one, so many at a time as are scored at once."""
        parts = []
        for start in range(0, len(x), _ROWS):
            rows = torch.from_numpy(np.ascontiguousarray(x[start : start + _ROWS])).to(self.problem.device)
            with torch.inference_mode():
                parts.append({name: value.float().cpu().numpy() for name, value in read(rows).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def save(self, folder: Path) -> None:
        """Write `network.safetensors` and `network.json`."""
        save_file({k: v.detach().cpu().contiguous() for k, v in self.fitted_.state_dict().items()}, folder / _WEIGHTS)
        (folder / _CONFIG).write_text(json.dumps(self.arguments, sort_keys=True) + "\n", "utf-8")

    def restore(self, folder: Path) -> Self:
        """Read back what `save` wrote into a model of the same module."""
        self.arguments = json.loads((folder / _CONFIG).read_text("utf-8"))
        module = self.module(**self.arguments)
        module.load_state_dict(load_file(folder / _WEIGHTS))
        self.fitted_ = module.eval().to(self.problem.device)
        return self
