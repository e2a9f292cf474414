"""One epoch of a torch module at a time, by skorch, over rows that may lie in files; `run_epochs` drives it.

A module maps a batch to logits. In training it may return a tuple instead, the logits first, and add to the loss by a
method `auxiliary(parts, targets)` that takes the rest of the tuple. A class attribute `lr_factors`, of patterns of
parameter names to numbers, lets parts of it learn slower.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import GradientNormClipping
from skorch.helper import predefined_split
from torch import Tensor, nn

from stages.contract import SilentProgress, Tracker
from stages.models.heads.batches import Batches, RowDataset
from stages.models.heads.model import LabelledRows, Problem
from stages.models.heads.options import NetworkOptions
from stages.models.training.state import Arrays, module_arrays, restore_module, restore_training, training_arrays
from store.errors import InputError, RunError

_TOP = 5
_REPLICA_CLASSES, _REPLICA_VALUES = 499, 999  # draws of an epoch, docs/systems/heads.md#training-of-networks
_LOG = logging.getLogger("diptych.heads")
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


class _Net(NeuralNet):  # type: ignore[misc]  # skorch has no types
    tracker: Tracker = SilentProgress()
    hits = 0
    draws: int | None = None
    drop_single = False

    def get_iterator(self, dataset: RowDataset, training: bool = False) -> Batches:
        if not training:
            return Batches(dataset, self.batch_size)
        return Batches(dataset, self.batch_size, shuffle=True, draws=self.draws, drop_single=self.drop_single)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, *, training: bool = False) -> Tensor:  # noqa: ARG002, N803
        logits, *parts = y_pred if isinstance(y_pred, tuple) else (y_pred,)
        if not isinstance(self.criterion_, nn.CrossEntropyLoss) and logits.shape != y_true.shape:
            # Torch would broadcast [n] against [n, 1] to [n, n] and learn nonsense.
            raise RunError(
                f"{type(self.module_).__name__}: expected outputs of shape {[*y_true.shape]}, as the targets have; "
                f"found {[*logits.shape]}; mend its forward."
            )
        loss: Tensor = self.criterion_(logits, y_true.to(logits.device))
        return loss + self.module_.auxiliary(parts, y_true.to(logits.device)) if parts else loss

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        step = super().train_step(batch, **fit_params)
        self.tracker.advance(len(batch[0]))
        return step

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        step = super().validation_step(batch, **fit_params)
        if isinstance(self.criterion_, nn.CrossEntropyLoss):
            self.hits += _top_hits(step["y_pred"], batch[1])
        return step


def _top_hits(logits: Tensor, classes: Tensor) -> int:
    """Count the rows with fewer than five scores above that of their class; docs/systems/evaluation.md#top-k."""
    own = logits.gather(1, classes.to(logits.device)[:, None])
    return int(((logits > own).sum(dim=1) < _TOP).sum())


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

    Attributes
    ----------
    rows : int
        How many rows an epoch goes over.
    monitor : {"loss", "accuracy"}
        What early stopping looks at.

    Raises
    ------
    InputError
        When the targets have another shape than the task asks for (nothing is ever broadcast), the options do not fit
        the task, or batch norm would see single rows.
    """

    def __init__(
        self,
        module: type[nn.Module],
        arguments: Mapping[str, Any],
        options: NetworkOptions,
        problem: Problem,
        rows: tuple[LabelledRows, LabelledRows],
    ) -> None:
        _refuse_targets(rows, problem)
        self._seed, self._train, self._dev = problem.seed, RowDataset(rows[0]), rows[1]
        self.monitor = _monitor(options, problem)
        self.rows = _drawn_rows(options, problem, rows[0])
        torch.manual_seed(problem.seed)
        momentum = {"optimizer__momentum": options.momentum} if options.optimizer == "sgd" else {}
        factors = getattr(module, "lr_factors", {})
        self._net = _Net(
            module,
            **{f"module__{name}": value for name, value in arguments.items()},
            criterion=_CRITERIA[problem.task],
            optimizer=_OPTIMIZERS[options.optimizer],
            optimizer__weight_decay=options.weight_decay,
            optimizer__fused=True,  # one pass over the weights instead of ten; the moments are the same
            optimizer__param_groups=[(each, {"lr": options.lr * factor}) for each, factor in factors.items()],
            **momentum,
            lr=options.lr,
            batch_size=options.batch,
            train_split=predefined_split(RowDataset(self._dev)) if len(self._dev) else None,
            callbacks=[("clip", GradientNormClipping(options.clip))],
            device=problem.device,
            verbose=0,
        ).initialize()
        self._net.draws = self.rows if options.replica else None
        self._net.drop_single = _normalises(self.module)
        if self._net.drop_single:
            self._refuse_single_rows(options)

    def _refuse_single_rows(self, options: NetworkOptions) -> None:
        if min(options.batch, self.rows) < 2:
            raise InputError(
                f"train: expected batches of at least 2 rows, as batch norm needs; found {self.rows} rows in batches "
                f"of {options.batch}; raise `batch`, or take another fusion or head."
            )

    @property
    def module(self) -> nn.Module:
        """The module as it is now."""
        module: nn.Module = self._net.module_
        return module

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, ...]:
        """Pass over the train rows once.

        Return the mean losses on train and dev (NaN without dev rows), and the share of dev rows whose class is among
        the five highest scores where that is monitored.
        """
        torch.manual_seed(int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]))
        self._train.rng = np.random.default_rng([self._seed, number])
        self._net.tracker, self._net.hits = tracker, 0
        # Not `partial_fit`, which swallows a KeyboardInterrupt: half a training must not pass for a whole one.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            self._net.fit_loop(self._train, epochs=1)
        line = self._net.history[-1]
        losses = float(line["train_loss"]), float(line.get("valid_loss", np.nan))
        return (*losses, self._net.hits / len(self._dev)) if self.monitor == "accuracy" and len(self._dev) else losses

    def state(self) -> Arrays:
        """Return the weights and the moments of the optimiser."""
        return training_arrays(self.module, self._net.optimizer_)

    def restore(self, tensors: Arrays) -> None:
        """Take up what `state` returned."""
        restore_training(self.module, self._net.optimizer_, tensors)

    def weights(self) -> Arrays:
        """Return copies of all weights of the module."""
        return module_arrays(self.module)

    def restore_weights(self, tensors: Arrays) -> None:
        """Take up what `weights` returned."""
        restore_module(self.module, tensors)


def _monitor(options: NetworkOptions, problem: Problem) -> Literal["loss", "accuracy"]:
    """Return what early stopping looks at.

    Raises
    ------
    InputError
        When top_5 was asked for in a task that has no single right class.
    """
    if options.monitor == "loss":
        return "loss"
    if problem.task == "multiclass":
        return "accuracy"
    if "monitor" in options.model_fields_set:
        raise InputError(
            f"monitor: expected loss for task {problem.task!r}; found top_5, which asks whether the one right class of "
            "a row is among five; remove the key or set `monitor: loss`."
        )
    _LOG.warning("monitor: top_5 is for multiclass; with task %r early stopping looks at the dev loss", problem.task)
    return "loss"


def _drawn_rows(options: NetworkOptions, problem: Problem, train: LabelledRows) -> int:
    """Return how many rows an epoch goes over."""
    if not options.replica:
        return len(train)
    return _REPLICA_VALUES if problem.task == "regression" else _REPLICA_CLASSES


def _refuse_targets(rows: tuple[LabelledRows, LabelledRows], problem: Problem) -> None:
    for each in rows:
        expected = (len(each),) if problem.task == "multiclass" else (len(each), problem.outputs)
        if each.y.shape != expected:
            raise InputError(
                f"train: expected targets of shape {[*expected]} for task {problem.task!r}; found "
                f"{[*each.y.shape]}; give one row of targets for each row of features."
            )


def _normalises(module: nn.Module) -> bool:
    return any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in module.modules())
