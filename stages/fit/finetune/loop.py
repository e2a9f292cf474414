"""Fine-tune a network on train items: epochs, dev loss, the best epoch kept; a run that is killed goes on where it was.

Equal inputs and seeds give equal weights, whether the run was interrupted or not: every epoch draws its order, its
dropout and its augmentation from a seed of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.contract import Progress, Task, Tracker
from stages.errors import InputError, RunError
from stages.fit.finetune.checkpoint import Checkpoints, Epoch, State, Tensors, pack_optimizer, unpack_optimizer
from stages.fit.finetune.freezing import TrainingMode
from stages.fit.finetune.reading import Batch, Reader

_DEV_BATCH = 32


@dataclass(frozen=True)
class Schedule:
    """How the weights are changed, and for how long.

    Attributes
    ----------
    decay : {"linear", "none"}
        Whether the learning rate falls to zero with the last step.
    patience : int, optional
        Epochs without a better dev loss after which the training ends; None trains them all.
    """

    epochs: int
    batch: int
    lr: float
    weight_decay: float
    optimizer: Literal["adamw", "adam"]
    decay: Literal["linear", "none"]
    patience: int | None = None


@dataclass(frozen=True)
class Examples:
    """Items to learn from.

    Attributes
    ----------
    ids : sequence of str, length n
    targets : ndarray
        multilabel: float32 [n, K] of 0 and 1; multiclass: int64 [n].
    prepare : callable
        Item and generator (None without augmentation) to what `collate` takes; raises one of `ITEM_ERRORS`.
    """

    ids: Sequence[str]
    targets: NDArray[Any]
    prepare: Callable[[int, np.random.Generator | None], Any]


@dataclass(frozen=True)
class Lesson:
    """What is learnt: items to fit on, items that choose the epoch, and how prepared items become network inputs."""

    task: Task
    train: Examples
    dev: Examples
    collate: Callable[[Sequence[Any]], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Bench:
    """Where the training runs; nothing here changes what comes out beyond rounding, but the seed."""

    seed: int
    device: str = "cpu"
    workers: int = 1


class Finetuning:
    """One network being fine-tuned.

    Parameters
    ----------
    network : torch module
        Gives logits [n, K] for the tensors of `Lesson.collate`; trained in place.
    mode : TrainingMode
        Puts the network into training mode.
    lesson : Lesson
    schedule : Schedule
    bench : Bench
    """

    def __init__(
        self, network: nn.Module, mode: TrainingMode, lesson: Lesson, schedule: Schedule, bench: Bench
    ) -> None:
        self.network, self.mode, self.lesson, self.schedule, self.bench = network, mode, lesson, schedule, bench
        self._train, self._dev = Reader(bench.workers), Reader(bench.workers)
        self._optimizer = _optimizer(network, schedule)
        self._loss = nn.BCEWithLogitsLoss() if lesson.task == "multilabel" else nn.CrossEntropyLoss()

    def run(self, name: str, checkpoints: Checkpoints | None, progress: Progress) -> State:
        """Train, from the last checkpoint if there is one; the returned `best` are the weights to keep.

        Raises
        ------
        InputError
            When not one train item could be read.
        RunError
            When the training diverged.
        """
        state = self._resume(checkpoints)
        items = len(self.lesson.train.ids) + len(self.lesson.dev.ids)
        left = self.schedule.epochs - len(state.curve)
        devices = [torch.device(self.bench.device)] if self.bench.device != "cpu" else []
        with (
            progress.track(f"fit {name}", left * items) as bar,
            torch.random.fork_rng(devices=devices),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            while not self._finished(state):
                self._advance(state, bar)
                if checkpoints:
                    checkpoints.save(state)
        return state

    def _resume(self, checkpoints: Checkpoints | None) -> State:
        state = checkpoints.load() if checkpoints else None
        if state is None:
            return State()
        self.network.load_state_dict(state.network)
        unpack_optimizer(self._optimizer, state.optimizer)
        return state

    def _finished(self, state: State) -> bool:
        done, patience = len(state.curve), self.schedule.patience
        return done >= self.schedule.epochs or (patience is not None and done - state.best_epoch >= patience)

    def _advance(self, state: State, bar: Tracker) -> None:
        """Add one epoch to the state."""
        number = len(state.curve) + 1
        told = f"epoch {number}/{self.schedule.epochs}"
        train_loss = self._train_epoch(number, bar, told)
        valid_loss, accuracy = self._evaluate(bar, f"{told}, loss {train_loss:.4f}")
        best = state.curve[state.best_epoch - 1].valid_loss if state.best_epoch else None
        state.curve.append(Epoch(number, train_loss, valid_loss, accuracy))
        state.network, state.optimizer = _weights(self.network), pack_optimizer(self._optimizer)
        if best is None or valid_loss is None or valid_loss < best:
            state.best_epoch, state.best = number, state.network
        for examples, reader in ((self.lesson.train, self._train), (self.lesson.dev, self._dev)):
            state.failed.update({examples.ids[item]: why for item, why in reader.failed.items()})

    def _train_epoch(self, number: int, bar: Tracker, told: str) -> float:
        """Train on every item once; return the mean loss."""
        train, seed, size = self.lesson.train, self.bench.seed, self.schedule.batch
        torch.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        order = np.random.default_rng([seed, number]).permutation(len(train.ids)).tolist()

        def prepare(item: int) -> Any:
            return train.prepare(item, np.random.default_rng([seed, number, item]))

        steps, total, seen = -(-len(order) // size), 0.0, 0
        for batch in self._train.batches(order, size, prepare):
            self._set_rate(((number - 1) * steps + batch.number) / (self.schedule.epochs * steps))
            total += self._step(batch) * len(batch.items)
            seen += len(batch.items)
            bar.advance(len(batch.items), f"{told}, loss {total / seen:.4f}")
        if not seen:
            self._refuse_unread()
        return total / seen

    def _set_rate(self, done: float) -> None:
        """Set the learning rate for a step; `done` is the share of all steps that lie before it."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.lr * (1 - done if self.schedule.decay == "linear" else 1.0)

    def _step(self, batch: Batch) -> float:
        """Change the weights by one batch; return its mean loss before the change."""
        self.mode.enter(len(batch.items))
        targets = self._targets(self.lesson.train, batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self._logits(batch), targets)
        loss.backward()
        self._optimizer.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise RunError(
                f"fit: expected a finite loss; found {value} with learning rate {self.schedule.lr}: the training "
                "diverged; lower `lr`."
            )
        return value

    def _evaluate(self, bar: Tracker, told: str) -> tuple[float | None, float | None]:
        """Return loss and accuracy on the dev items; for several labels accuracy asks for all of them to be right."""
        dev, loss, right, seen = self.lesson.dev, 0.0, 0, 0
        self.network.eval()
        for batch in self._dev.batches(range(len(dev.ids)), _DEV_BATCH, lambda item: dev.prepare(item, None)):
            targets = self._targets(dev, batch)
            with torch.inference_mode():
                logits = self._logits(batch)
                loss += float(self._loss(logits, targets)) * len(batch.items)
                right += int(self._right(logits, targets).sum())
            seen += len(batch.items)
            bar.advance(len(batch.items), told)
        return (loss / seen, right / seen) if seen else (None, None)

    def _right(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.lesson.task == "multilabel":
            return ((logits > 0) == (targets > 0)).all(dim=1)
        return logits.argmax(dim=1) == targets

    def _logits(self, batch: Batch) -> Tensor:
        inputs = self.lesson.collate(batch.prepared)
        logits: Tensor = self.network(*(each.to(self.bench.device) for each in inputs))
        return logits

    def _targets(self, examples: Examples, batch: Batch) -> Tensor:
        return torch.from_numpy(examples.targets[batch.items]).to(self.bench.device)

    def _refuse_unread(self) -> None:
        why = next(iter(self._train.failed.values()), "there are none")
        raise InputError(
            f"fit: expected train items that can be read; found none among {len(self.lesson.train.ids)} ({why}); "
            "check the data and the split."
        )


def _optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kind = torch.optim.AdamW if schedule.optimizer == "adamw" else torch.optim.Adam
    return kind(trained, lr=schedule.lr, weight_decay=schedule.weight_decay)


def _weights(network: nn.Module) -> Tensors:
    """Copy the weights, so that further training leaves the copy alone."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}
