"""The network that is fine-tuned: the classifier on its vectors, which layers keep their weights, when norms learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stages.models.catalog import did_you_mean
from store.errors import InputError
from store.items.records import Task

BATCH_FOR_STATISTICS = 16
"""Batches smaller than this tell too little of a mean: batch normalisation then keeps to its running statistics."""


class Classifier(nn.Module):
    """A network, dropout, and a linear layer from its vectors [n, D] to logits [n, K].

    Parameters
    ----------
    body : torch module
        Returns a tuple whose first element is the vectors.
    width, classes : int
        D and K.
    dropout : float
    """

    head: nn.Linear

    def __init__(self, body: nn.Module, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.body, self.dropout = body, nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    @property
    def fresh(self) -> list[nn.Parameter]:
        """The weights that start from nothing, which may have a learning rate of their own."""
        return [*self.head.parameters()]

    def forward(self, *inputs: Tensor) -> Any:
        """Return the logits [n, K]; a kind that learns more than labels returns what `loss` and `logits` take."""
        return self.head(self.dropout(self.body(*inputs)[0]))

    def logits(self, outputs: Any) -> Tensor:
        """Return the logits [n, K] among what `forward` returned; behind the n items there may be others."""
        return outputs  # type: ignore[no-any-return]

    def loss(self, outputs: Any, targets: Tensor, task: Task) -> Tensor:
        """Return the mean loss of what `forward` returned for n items."""
        return label_loss(self.logits(outputs)[: len(targets)], targets, task)


def label_loss(logits: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Return the mean loss of logits [n, K]: binary cross-entropy over n x K, or that of the softmax over n."""
    if task == "multilabel":
        return nn.functional.binary_cross_entropy_with_logits(logits, targets)
    return nn.functional.cross_entropy(logits, targets)


@dataclass(frozen=True)
class Layer:
    """A module that owns parameters itself, under its name in the network."""

    name: str
    module: nn.Module

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that it owns itself."""
        return list(self.module.parameters(recurse=False))


def layers_in_order(network: nn.Module, sample: Tensor) -> list[Layer]:
    """List the modules that own parameters in the order in which a forward pass uses them first.

    Parameters
    ----------
    network : torch module
    sample : Tensor
        An input it accepts, of any content; [1, 3, S, S] for an image network.
    """
    used: dict[str, Layer] = {}

    def note(layer: Layer) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            used.setdefault(layer.name, layer)

        return hook

    handles = [
        module.register_forward_pre_hook(note(Layer(name, module)))
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(sample)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return list(used.values())


def cut_by_share(layers: Sequence[Layer], share: float) -> int:
    """Return how many of the first layers are frozen: the floor of `share` of them."""
    return math.floor(share * len(layers))


def cut_by_name(layers: Sequence[Layer], name: str) -> int:
    """Return how many layers come before the layer or block `name`.

    Raises
    ------
    InputError
        When no layer and no block has this name.
    """
    for position, layer in enumerate(layers):
        if layer.name == name or layer.name.startswith(f"{name}."):
            return position
    known = [layer.name for layer in layers]
    blocks = dict.fromkeys(".".join(each.split(".")[:depth]) for depth in (1, 2) for each in known)
    raise InputError(
        f"unfreeze_from: expected a layer or block of the network; found {name!r}"
        f"{did_you_mean(name, [*blocks, *known])}; its blocks are {', '.join([*blocks][:40])}."
    )


def freeze(layers: Sequence[Layer]) -> None:
    """Take these layers out of the training: no gradient reaches their parameters."""
    for layer in layers:
        for parameter in layer.parameters:
            parameter.requires_grad = False


class TrainingMode:
    """Puts a network into training mode, with exceptions for its batch normalisation.

    Frozen layers, and all layers while the batch is small, normalise by their running statistics and leave them alone.
    """

    def __init__(self, network: nn.Module, frozen: Sequence[Layer] = ()) -> None:
        fixed = {layer.module for layer in frozen}
        norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self._network = network
        self._frozen = [module for module in norms if module in fixed]
        self._learning = [module for module in norms if module not in fixed]

    def enter(self, batch: int) -> None:
        """Prepare the network for a training step on `batch` items."""
        self._network.train()
        small = batch < BATCH_FOR_STATISTICS
        for module in (*self._frozen, *(self._learning if small else ())):
            module.eval()
