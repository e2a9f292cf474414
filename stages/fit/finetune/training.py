"""Fine-tune a network epoch by epoch: one pass over the train items, then loss and accuracy on the dev items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.contract import Tracker
from stages.fit.finetune.network import Classifier, TrainingMode
from stages.fit.options import FinetuneOptions
from stages.models.encoders.running.batching import ITEM_ERRORS
from stages.models.training.state import Arrays, module_arrays, restore_module, restore_training, training_arrays
from store.errors import InputError, RunError
from store.items.records import Task

_AHEAD = 3
_Running = list[tuple[int, Future[Any]]]


class Batch(NamedTuple):
    """Some items that could be read; `number` counts the batches of the order, also those that are left out."""

    number: int
    items: list[int]
    prepared: list[Any]


class Reader:
    """Reads batches and remembers which items could not be read.

    Parameters
    ----------
    workers : int
        Threads.

    Attributes
    ----------
    failed : dict
        Item to reason, in every batch read so far.
    """

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)
        self.failed: dict[int, str] = {}

    def batches(self, order: Sequence[int], size: int, prepare: Callable[[int], Any]) -> Generator[Batch, None, None]:
        """Yield batches of consecutive runs of `size` in `order`, without the items that failed.

        A run in which every item failed is left out. Close the generator to stop early.
        """
        pool = ThreadPoolExecutor(self._workers)
        runs = enumerate(order[start : start + size] for start in range(0, len(order), size))
        ahead: deque[tuple[int, _Running]] = deque()
        try:
            while True:
                for number, run in islice(runs, _AHEAD - len(ahead)):
                    ahead.append((number, [(item, pool.submit(prepare, item)) for item in run]))
                if not ahead:
                    return
                number, running = ahead.popleft()
                items, prepared = self._collect(running)
                if items:
                    yield Batch(number, items, prepared)
        finally:
            pool.shutdown(cancel_futures=True)

    def _collect(self, running: _Running) -> tuple[list[int], list[Any]]:
        items, prepared = [], []
        for item, future in running:
            try:
                prepared.append(future.result())
                items.append(item)
            except ITEM_ERRORS as error:
                self.failed[item] = f"{type(error).__name__}: {error}"
        return items, prepared


_DEV_BATCH = 32


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
    collate: Callable[[Sequence[Any]], tuple[NDArray[Any], ...]]


@dataclass(frozen=True)
class Bench:
    """Where the training runs, and the seed of all its chance."""

    seed: int
    device: str = "cpu"
    workers: int = 1


class ClassifierTraining:
    """One classifier being fine-tuned; `run_epochs` drives it.

    Equal inputs and seeds give equal weights, whether the run was interrupted or not: every epoch draws its order, its
    dropout and its augmentation from a seed of its own.

    Parameters
    ----------
    network : Classifier
        Takes the arrays of `Lesson.collate`; trained in place.
    mode : TrainingMode
        Puts the network into training mode.
    lesson : Lesson
    how : FinetuneOptions
    bench : Bench

    Attributes
    ----------
    accuracies : list of float
        Of each epoch on the dev items, NaN without them; with several labels per item all of them must be right.
    """

    def __init__(
        self, network: Classifier, mode: TrainingMode, lesson: Lesson, how: FinetuneOptions, bench: Bench
    ) -> None:
        self.network, self.mode, self.lesson, self.how, self.bench = network, mode, lesson, how, bench
        self._train, self._dev = Reader(bench.workers), Reader(bench.workers)
        self._optimizer = _optimizer(network, how)

    @property
    def failed(self) -> dict[str, str]:
        """Ids of the items that could not be read, in the order of the rows, with the reason."""
        pairs = ((self.lesson.train, self._train), (self.lesson.dev, self._dev))
        return {examples.ids[item]: why for examples, reader in pairs for item, why in sorted(reader.failed.items())}

    def epoch(self, number: int, tracker: Tracker) -> tuple[float, float, float]:
        """Train on every item once; return the mean losses on train and dev, and the accuracy on dev.

        The last two are NaN without dev items. Where an item has several labels, all of them must be right.

        Raises
        ------
        InputError
            When not one train item could be read.
        RunError
            When the training diverged.
        """
        told = f"epoch {number}/{self.how.epochs}"
        devices = [torch.device(self.bench.device)] if self.bench.device != "cpu" else []
        with (
            torch.random.fork_rng(devices=devices),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            train_loss = self._train_epoch(number, tracker, told)
            valid_loss, accuracy = self._evaluate(tracker, f"{told}, loss {train_loss:.4f}")
        return train_loss, valid_loss, accuracy

    def state(self) -> Arrays:
        """Return the weights and the moments of the optimiser; chance needs no state."""
        return training_arrays(self.network, self._optimizer)

    def restore(self, arrays: Arrays) -> None:
        """Take up what `state` returned."""
        restore_training(self.network, self._optimizer, arrays)

    def weights(self) -> Arrays:
        """Return copies of all weights and statistics of the network."""
        return module_arrays(self.network)

    def restore_weights(self, arrays: Arrays) -> None:
        """Take up what `weights` returned."""
        restore_module(self.network, arrays)

    def _train_epoch(self, number: int, tracker: Tracker, told: str) -> float:
        train, seed, size = self.lesson.train, self.bench.seed, self.how.batch
        torch.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        order = np.random.default_rng([seed, number]).permutation(len(train.ids)).tolist()

        def prepare(item: int) -> Any:
            return train.prepare(item, np.random.default_rng([seed, number, item]))

        steps, total, seen = -(-len(order) // size), 0.0, 0
        for batch in self._train.batches(order, size, prepare):
            self._set_rate(((number - 1) * steps + batch.number) / (self.how.epochs * steps))
            total += self._step(batch) * len(batch.items)
            seen += len(batch.items)
            tracker.advance(len(batch.items), f"{told}, loss {total / seen:.4f}")
        if not seen:
            self._refuse_unread()
        return total / seen

    def _set_rate(self, done: float) -> None:
        """Set the learning rate for a step; `done` is the share of all steps that lie before it."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["full_lr"] * (1 - done if self.how.decay == "linear" else 1.0)

    def _step(self, batch: Batch) -> float:
        """Change the weights by one batch; return its mean loss before the change."""
        self.mode.enter(len(batch.items))
        targets = self._targets(self.lesson.train, batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.network.loss(self._outputs(batch), targets, self.lesson.task)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise RunError(
                f"fit: expected a finite loss; found {value} with learning rate {self.how.lr}: the training diverged; "
                "lower `lr`."
            )
        return value

    def _evaluate(self, tracker: Tracker, told: str) -> tuple[float, float]:
        """Return loss and accuracy on the dev items."""
        dev, loss, right, seen = self.lesson.dev, 0.0, 0, 0
        self.network.eval()
        for batch in self._dev.batches(range(len(dev.ids)), _DEV_BATCH, lambda item: dev.prepare(item, None)):
            targets = self._targets(dev, batch)
            with torch.inference_mode():
                outputs = self._outputs(batch)
                loss += float(self.network.loss(outputs, targets, self.lesson.task)) * len(batch.items)
                logits = self.network.logits(outputs)[: len(targets)]
                right += int(self._right(logits, targets).sum())
            seen += len(batch.items)
            tracker.advance(len(batch.items), told)
        return (loss / seen, right / seen) if seen else (float("nan"), float("nan"))

    def _right(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.lesson.task == "multilabel":
            return ((logits > 0) == (targets > 0)).all(dim=1)
        return logits.argmax(dim=1) == targets

    def _outputs(self, batch: Batch) -> Any:
        inputs = self.lesson.collate(batch.prepared)
        return self.network(*(torch.from_numpy(each).to(self.bench.device) for each in inputs))

    def _targets(self, examples: Examples, batch: Batch) -> Tensor:
        return torch.from_numpy(examples.targets[batch.items]).to(self.bench.device)

    def _refuse_unread(self) -> None:
        why = next(iter(self._train.failed.values()), "there are none")
        raise InputError(
            f"fit: expected train items that can be read; found none among {len(self.lesson.train.ids)} ({why}); "
            "check the data and the split."
        )


def _optimizer(network: Classifier, how: FinetuneOptions) -> torch.optim.Optimizer:
    """Return the optimiser of all weights that are trained; each group of them knows its own full rate."""
    own = set(network.fresh)
    body = [parameter for parameter in network.parameters() if parameter.requires_grad and parameter not in own]
    groups = [
        {"params": weights, "lr": rate, "full_lr": rate}
        for weights, rate in ((body, how.lr), (network.fresh, how.head_lr or how.lr))
        if weights
    ]
    kind = torch.optim.AdamW if how.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, weight_decay=how.weight_decay)
