"""One epoch of a torch module at a time, by skorch, over rows that may lie in files; `run_epochs` drives it.

A module maps a batch to logits. In training it may return a tuple instead, the logits first, and add to the loss by a
method `auxiliary(parts, targets)` that takes the rest of the tuple. A class attribute `lr_factors`, of patterns of
parameter names to numbers, lets parts of it learn slower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import GradientNormClipping
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import Dataset

from stages.contract import SilentProgress, Tracker
from stages.heads.model import Problem, Rows
from stages.heads.options import NetworkOptions
from stages.optimizer_state import Arrays, optimizer_arrays, restore_optimizer

_NETWORK, _MOMENTS = "network/", "optimizer/"
_CRITERIA: Mapping[str, type[nn.Module]] = {
    "multilabel": nn.BCEWithLogitsLoss,
    "multiclass": nn.CrossEntropyLoss,
    "regression": nn.MSELoss,
}
_OPTIMIZERS: Mapping[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}


class RowDataset(Dataset[Any]):
    """Rows as a torch data set that gives whole batches."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        x = np.ascontiguousarray(self.rows.x[index], dtype=np.float32)
        return torch.from_numpy(x), torch.from_numpy(np.ascontiguousarray(self.rows.y[index]))


class Batches:
    """Iterates a `RowDataset` batch by batch: one gather each, where torch's own loader would fetch row by row."""

    def __init__(self, dataset: RowDataset, batch_size: int, *, shuffle: bool = False) -> None:
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __len__(self) -> int:
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self.dataset)
        order = torch.randperm(count).numpy() if self.shuffle else np.arange(count)
        for start in range(0, count, self.batch_size):
            yield self.dataset[order[start : start + self.batch_size]]


class _Net(NeuralNet):  # type: ignore[misc]  # skorch has no types
    tracker: Tracker = SilentProgress()

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, *, training: bool = False) -> Tensor:  # noqa: ARG002, N803
        logits, *parts = y_pred if isinstance(y_pred, tuple) else (y_pred,)
        loss: Tensor = self.criterion_(logits, y_true.to(logits.device))
        return loss + self.module_.auxiliary(parts, y_true.to(logits.device)) if parts else loss

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        step = super().train_step(batch, **fit_params)
        self.tracker.advance(len(batch[0]))
        return step


class NetworkTraining:
    """A module being trained; everything random follows from the seed and the epoch's number.

    Parameters
    ----------
    module : type of torch module
    arguments : mapping
        Its keyword arguments.
    options : NetworkOptions
    problem : Problem
    rows : (Rows, Rows)
        Train rows, and dev rows (maybe none), which are only measured.
    """

    def __init__(
        self,
        module: type[nn.Module],
        arguments: Mapping[str, Any],
        options: NetworkOptions,
        problem: Problem,
        rows: tuple[Rows, Rows],
    ) -> None:
        self._seed, self._train, dev = problem.seed, RowDataset(rows[0]), rows[1]
        torch.manual_seed(problem.seed)
        momentum = {"optimizer__momentum": options.momentum} if options.optimizer == "sgd" else {}
        factors = getattr(module, "lr_factors", {})
        self._net = _Net(
            module,
            **{f"module__{name}": value for name, value in arguments.items()},
            criterion=_CRITERIA[problem.task],
            optimizer=_OPTIMIZERS[options.optimizer],
            optimizer__weight_decay=options.weight_decay,
            optimizer__param_groups=[(each, {"lr": options.lr * factor}) for each, factor in factors.items()],
            **momentum,
            lr=options.lr,
            batch_size=options.batch,
            iterator_train=Batches,
            iterator_train__shuffle=True,
            iterator_valid=Batches,
            train_split=predefined_split(RowDataset(dev)) if len(dev) else None,
            callbacks=[("clip", GradientNormClipping(options.clip))],
            device=problem.device,
            verbose=0,
        ).initialize()

    @property
    def module(self) -> nn.Module:
        """The module as it is now."""
        module: nn.Module = self._net.module_
        return module

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float]:
        """Pass over the train rows once; return the mean losses on train and dev (NaN without dev rows)."""
        torch.manual_seed(int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]))
        self._net.tracker = tracker
        # Not `partial_fit`, which swallows a KeyboardInterrupt: half a training must not pass for a whole one.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            self._net.fit_loop(self._train, epochs=1)
        line = self._net.history[-1]
        return float(line["train_loss"]), float(line.get("valid_loss", np.nan))

    def state(self) -> Arrays:
        """Return the weights and the moments of the optimiser."""
        weights = {f"{_NETWORK}{name}": value for name, value in self.weights().items()}
        return {**weights, **optimizer_arrays(self._net.optimizer_, _MOMENTS)}

    def restore(self, tensors: Arrays) -> None:
        """Take up what `state` returned."""
        self.restore_weights({k.removeprefix(_NETWORK): v for k, v in tensors.items() if k.startswith(_NETWORK)})
        restore_optimizer(self._net.optimizer_, tensors, _MOMENTS)

    def weights(self) -> Arrays:
        """Return copies of all weights of the module."""
        return {name: np.array(value.detach().cpu().numpy()) for name, value in self.module.state_dict().items()}

    def restore_weights(self, tensors: Arrays) -> None:
        """Take up what `weights` returned."""
        self.module.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
