"""Put a linear classifier on a network's vectors and train both on labelled rows: what texts and pictures share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stages.fit.context import FitContext, FitRows, Fitted, Index, Raw, cut_dev
from stages.fit.finetune.network import Classifier, Layer, TrainingMode, freeze
from stages.fit.finetune.training import Bench, ClassifierTraining, Examples, Lesson
from stages.fit.options import FinetuneOptions
from stages.models.training.epochs import Epoch, Schedule, run_epochs
from store.results.cards import EntryCard

_LOG = logging.getLogger("diptych.fit")


@dataclass(frozen=True)
class Body:
    """A network that gives vectors, and how raw items become its inputs.

    Attributes
    ----------
    module : torch module
        From what `collate` gives to a tuple that begins with the vectors.
    width : int
        Of the vectors.
    prepare : callable
        From a raw item and a generator (None without augmentation) to what `collate` takes.
    collate : callable
        From prepared items to the arrays of a batch.
    layers : sequence of Layer
        The layers in forward order, where some are frozen.
    frozen : int
        How many of them, from the first.
    classifier : type of Classifier
        What is put on top, and what it learns.
    """

    module: nn.Module
    width: int
    prepare: Callable[[Any, np.random.Generator | None], Any]
    collate: Callable[[Sequence[Any]], tuple[NDArray[Any], ...]]
    layers: Sequence[Layer] = ()
    frozen: int = 0
    classifier: type[Classifier] = Classifier


def train_classifier(context: FitContext, body: Body) -> tuple[Classifier, Fitted]:
    """Train a classifier on the labelled rows, a tenth of their groups set aside to choose the epoch.

    Raises
    ------
    InputError
        When not one train item could be read.
    RunError
        When the training diverged.
    """
    options: FinetuneOptions = context.options
    rows, frozen = context.rows, body.layers[: body.frozen]
    train, dev = labelled_parts(rows, context.seed)
    network = _classifier(body, len(rows.classes), options.dropout, context.seed).to(context.device)
    freeze(frozen)
    lesson = Lesson(rows.task, _examples(rows, train, body), _examples(rows, dev, body), body.collate)
    bench = Bench(context.seed, context.device, context.workers)
    training = ClassifierTraining(network, TrainingMode(network, frozen), lesson, options, bench)
    # A patience of all epochs stops none of them, and the best epoch's weights are kept.
    schedule = Schedule(options.epochs, len(train) + len(dev), options.patience or options.epochs)
    history = run_epochs(context, training, schedule)
    _tell(context.name, training.failed)
    card = (
        _row_card(rows, train, dev, training.failed) | EntryCard(counts=_network_counts(network, body)) | _best(history)
    )
    return network.eval().cpu(), Fitted(history, card)


def labelled_parts(rows: FitRows, seed: int) -> tuple[Index, Index]:
    """Return the positions of the labelled rows: those to train on, and the tenth of their groups set aside."""
    labelled = np.flatnonzero(rows.labelled)
    train, dev = cut_dev([rows.groups[row] for row in labelled.tolist()], seed)
    return labelled[train], labelled[dev]


def _classifier(body: Body, classes: int, dropout: float, seed: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return body.classifier(body.module, body.width, classes, dropout)


def _examples(rows: FitRows, positions: Index, body: Body) -> Examples:
    places = positions.tolist()

    def prepare(item: int, rng: np.random.Generator | None) -> Any:
        raw: Raw = rows.load(places[item])
        return body.prepare(raw, rng)

    return Examples([rows.ids[place] for place in places], rows.targets[positions], prepare)


def _tell(name: str, failed: Mapping[str, str]) -> None:
    for identity, why in list(failed.items())[:1]:
        _LOG.warning(
            "fit %s: %d rows could not be read and were left out, such as %s (%s)", name, len(failed), identity, why
        )


def _row_card(rows: FitRows, train: Index, dev: Index, failed: Mapping[str, str]) -> EntryCard:
    targets = rows.targets[train]
    seen = set(np.flatnonzero(targets.any(axis=0)) if rows.task == "multilabel" else targets)
    counts = {
        "train_rows": len(train),
        "dev_rows": len(dev),
        "unlabelled": int((~rows.labelled).sum()),
        "unreadable": len(failed),
    }
    untrained = [name for at, name in enumerate(rows.classes) if at not in seen]
    return EntryCard(counts=counts, made_of={"untrained_classes": untrained})


def _network_counts(network: Classifier, body: Body) -> dict[str, int]:
    sizes = [(each.numel(), each.requires_grad) for each in network.parameters()]
    counts = {
        "parameters": sum(size for size, _ in sizes),
        "trained_parameters": sum(size for size, trained in sizes if trained),
    }
    if body.frozen:
        counts |= {"layers": len(body.layers), "frozen_layers": body.frozen}
    return counts


def _best(history: Sequence[Epoch]) -> EntryCard:
    """Return the epoch that was kept and its accuracy on the rows set aside, where there are any."""
    known = [each for each in history if not np.isnan(each.valid_loss)]
    if not known:
        return EntryCard()
    best = min(known, key=lambda each: each.valid_loss)
    return EntryCard({"valid_accuracy": round(best.valid_accuracy, 6)}, {"best_epoch": best.epoch})
