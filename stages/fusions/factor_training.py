"""The state of a torch training as plain arrays: what the trainings of `mf`, `mmeda1` and `mmeda2` have in common."""

from __future__ import annotations

import torch
from torch import nn

from stages.checkpoints import Tensors
from stages.training_state import restore_training, training_arrays


class FactorTraining:
    """A network and its optimiser; its last epoch counts.

    Parameters
    ----------
    network : torch module
    optimizer : torch optimiser
        Of the network's parameters.
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._network, self.optimizer = network, optimizer

    def state(self) -> Tensors:
        """Return the weights and the moments of the optimiser."""
        return training_arrays(self._network, self.optimizer)

    def restore(self, tensors: Tensors) -> None:
        """Take up what `state` returned."""
        restore_training(self._network, self.optimizer, tensors)

    def weights(self) -> Tensors:
        """Return nothing: the last epoch counts."""
        return {}

    def restore_weights(self, tensors: Tensors) -> None:
        """Do nothing."""
