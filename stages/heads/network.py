"""Train torch networks through skorch: one trainer for the heads `linear` and `mlp` and for every trainable fusion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, GradientNormClipping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn

from stages.heads.model import Array, Epoch, Problem, Rows, Scores
from stages.heads.options import NetworkOptions

_ROWS = 8192
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


_CRITERIA: Mapping[str, type[nn.Module]] = {
    "multilabel": nn.BCEWithLogitsLoss,
    "multiclass": nn.CrossEntropyLoss,
    "regression": nn.MSELoss,
}


class NetworkModel:
    """A torch module with its training; the best epoch by dev loss is kept.

    Parameters
    ----------
    module : type of torch module
        Maps rows [n, D] to logits [n, K].
    arguments : mapping
        Keyword arguments of the module, JSON values only: they are saved beside the weights.
    options : NetworkOptions
        Learning rate and the rest.
    problem : Problem
        Task, outputs, seed, device.
    """

    def __init__(
        self, module: type[nn.Module], arguments: Mapping[str, Any], options: NetworkOptions, problem: Problem
    ) -> None:
        self.module, self.arguments, self.options, self.problem = module, dict(arguments), options, problem
        self.history: list[Epoch] = []

    def fit(self, train: Rows, dev: Rows) -> Self:
        """Train on `train`, stop early on `dev` when it has rows; equal inputs and seeds give equal weights.

        Raises
        ------
        KeyboardInterrupt
            When somebody asked to stop.
        """
        torch.manual_seed(self.problem.seed)
        net = self._net(dev)
        net.fit(train.x, train.y)
        self._pass_on_interrupt(net)
        self.history = [
            Epoch(row["epoch"], float(row["train_loss"]), float(row.get("valid_loss", np.nan))) for row in net.history
        ]
        self.fitted_ = net.module_.eval()
        return self

    def _pass_on_interrupt(self, net: NeuralNet) -> None:
        """Raise the KeyboardInterrupt that skorch swallows: half a training must not pass for a whole one."""
        whole = len(net.history) == self.options.epochs and "train_loss" in net.history[-1]
        early = any(isinstance(each, EarlyStopping) and each.misses_ >= each.patience for _, each in net.callbacks_)
        if not whole and not early:
            raise KeyboardInterrupt

    def _net(self, dev: Rows) -> NeuralNet:
        options = self.options
        callbacks: list[tuple[str, Any]] = [("clip", GradientNormClipping(options.clip))]
        if len(dev):
            callbacks.append(("stop", EarlyStopping(patience=options.patience, load_best=True)))
        return NeuralNet(
            self.module,
            **{f"module__{name}": value for name, value in self.arguments.items()},
            criterion=_CRITERIA[self.problem.task],
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=options.weight_decay,
            lr=options.lr,
            batch_size=options.batch,
            max_epochs=options.epochs,
            iterator_train__shuffle=True,
            train_split=predefined_split(Dataset(dev.x, dev.y)) if len(dev) else None,
            callbacks=callbacks,
            device=self.problem.device,
            verbose=0,
        )

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
